"""The way from a container to this machine."""

from __future__ import annotations

import ipaddress

from docker_bench import docker


def host_address() -> str:
    """Return where containers find this machine: the first address of the default bridge."""
    subnet = docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}")
    return str(ipaddress.ip_network(subnet.strip())[1])
