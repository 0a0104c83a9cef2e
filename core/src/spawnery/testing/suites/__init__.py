"""The tests of the conformance kit, one module per promise."""
