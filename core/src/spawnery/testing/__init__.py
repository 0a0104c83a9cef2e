"""What proves a spawner: the conformance kit, the fault injection and the fake engine."""
