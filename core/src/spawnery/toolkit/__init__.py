"""What spawners share beside the contract: log tails, worker pools, proxies, package versions."""
