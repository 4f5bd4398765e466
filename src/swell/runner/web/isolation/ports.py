"""Ports that a container has to itself, although it shares the network of its machine with others like it.

A server of the user's binds a fixed port, on whichever address, and containers of one function all bind the same. So
each container gets a loopback address of its own, out of the sixteen million that every machine has, and for each of
its ports two free ones there. A socket that is to be bound to the port is bound there instead, and connections to it
from within the container lead there (`supervisor`, `rewrite`). Nothing else is redirected: neither other ports, nor
connections to elsewhere. The number changes together with the address, because whoever listens on all addresses of the
machine has the port on all of them, and because numbers below 1024 are for privileged programs.

Where that cannot be done, the port is the machine's: one container gets it, and any other fails to start, with an error
that says why. This module must not know how system calls are caught, or what servers send.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Protocol

from swell.errors import ConflictError
from swell.runner.web.isolation.rewrite import PortMapping

__all__ = ["Ports", "PrivatePorts", "SharedPorts"]

Address = tuple[str, int]


class Ports(Protocol):
    """Where the servers of this container can be reached."""

    def addresses(self, port: int) -> list[Address]:
        """Return the addresses at which a server that bound `port` can be reached; one of them will do."""
        ...


# ---------------------------------------------------------------- private ones


class PrivatePorts:
    """Ports at an address that no other process on this machine gets, until this is closed or its process is gone."""

    def __init__(self, ports: Collection[int]) -> None:
        host, self._claim = self._claim_host()
        with ExitStack() as stack:  # all are held until the last one is found, so that no two are the same
            self.mappings: Mapping[int, PortMapping] = {
                port: PortMapping(host, _free(host, stack), _free(host, stack)) for port in ports
            }

    @staticmethod
    def _claim_host() -> tuple[bytes, socket.socket]:
        while True:
            second, third, fourth = os.urandom(3)
            # Far from 127.0.0.1, 127.0.1.1 and 127.0.0.53, which other programs use.
            host = bytes((127, 16 + second % 224, third, 1 + fourth % 254))
            claim = _claim(f"host-{socket.inet_ntoa(host)}")
            if claim is not None:
                return host, claim

    def addresses(self, port: int) -> list[Address]:
        """Return the addresses at which a server that bound `port` can be reached."""
        mapping = self.mappings[port]
        host = socket.inet_ntoa(mapping.host)
        return [(host, mapping.four), (host, mapping.six)]

    def close(self) -> None:
        """Let others have the address."""
        self._claim.close()


def _free(host: bytes, stack: ExitStack) -> int:
    tried = stack.enter_context(socket.socket())
    tried.bind((socket.inet_ntoa(host), 0))
    return tried.getsockname()[1]


# ---------------------------------------------------------------- shared ones


class SharedPorts:
    """Ports of the machine that this container has claimed, until this is closed or its process is gone.

    Args:
        ports: Those to claim.
        reason: Why it cannot have them to itself.

    Raises:
        ConflictError: another container has one of them, or some other program listens there.
    """

    def __init__(self, ports: Collection[int], reason: str) -> None:
        self._claims = [self._take(port, reason) for port in ports]
        numbers = ", ".join(map(str, ports))
        sys.stderr.write(
            f"swell: this container shares port {numbers} with the whole machine, because {reason}; a second container "
            "of this function on this machine will fail to start\n"
        )

    def _take(self, port: int, reason: str) -> socket.socket:
        what = f"containers on this machine cannot each have port {port} to themselves, because {reason}"
        claim = _claim(f"port-{port}")
        if claim is None:
            raise ConflictError(
                f"{what}; another container has it: set max_containers=1, or give each function a port of its own"
            )
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            if _answers(family, (host, port)):
                raise ConflictError(f"{what}; another program listens there: choose another port")
        return claim

    def addresses(self, port: int) -> list[tuple[str, int]]:
        """Return the addresses at which a server that bound `port` can be reached."""
        return [("127.0.0.1", port), ("::1", port)]

    def close(self) -> None:
        """Let others have the ports."""
        for claim in self._claims:
            claim.close()


def _answers(family: socket.AddressFamily, address: tuple[str, int]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(address) == 0
    except OSError:  # this machine has no such family
        return False


def _claim(name: str) -> socket.socket | None:
    """Take a name that only one process in this network can have; None if another has it.

    It is that of a Unix socket without a file, which belongs to the network namespace, as ports do, and is free again
    when its owner is gone, however that came about.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0swell-{name}")
    except OSError:
        claim.close()
        return None
    return claim
