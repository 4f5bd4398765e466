"""Ports that a container has to itself, although it shares the network of its machine with others like it.

A server of the user's binds a fixed port, on whichever address, and containers of one function all bind the same. So
each container gets two loopback addresses of its own, out of the sixteen million that every machine has; a socket that
is bound to the port is bound there instead, and connections to it from within the container lead there: see `keeper`.
Nothing else is moved: neither other ports, nor connections to elsewhere.

Where that cannot be done, the port is the machine's: one container gets it, and any other fails to start, with an error
that says why. This module must not know how system calls are caught, or what servers say.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Collection
from typing import Final, NamedTuple, Protocol

from swell.errors import ConflictError

__all__ = ["Home", "Ports", "PrivatePorts", "SharedPorts", "moved"]

_INET: Final = struct.pack("=H", socket.AF_INET)
_INET6: Final = struct.pack("=H", socket.AF_INET6)
_MAPPED: Final = bytes(10) + b"\xff\xff"  #: begins an address of IPv6 that stands for one of IPv4
_LOOPBACK6: Final = bytes(15) + b"\1"
_HOST_AT, _HOST6_AT = 4, 8  #: where the host is in a socket address
_SIZE, _SIZE6 = 16, 24  #: bytes of a socket address up to the end of the host


class Ports(Protocol):
    """Where the servers of this container are."""

    def addresses(self, port: int) -> list[tuple[str, int]]:
        """Return the addresses at which a server that bound `port` can be reached; one of them will do."""
        ...


# ---------------------------------------------------------------- private ones


class Home(NamedTuple):
    """The addresses of IPv4 that one container has to itself, four bytes each.

    Two, because a server may bind its port once for IPv4 and once for IPv6.
    """

    four: bytes
    six: bytes

    @classmethod
    def random(cls) -> Home:
        """Return some home; whether it is free must be found out."""
        second, third, fourth = os.urandom(3)
        second = 16 + second % 224  # far from 127.0.0.1, 127.0.1.1 and 127.0.0.53, which other programs use
        fourth = 2 + fourth // 2 % 126 * 2
        return cls(bytes((127, second, third, fourth)), bytes((127, second, third, fourth + 1)))


class PrivatePorts:
    """Ports at addresses that no other process on this machine gets, until this is closed or its process is gone."""

    def __init__(self) -> None:
        self.home, self._claim = self._settle()

    @staticmethod
    def _settle() -> tuple[Home, socket.socket]:
        while True:
            home = Home.random()
            claim = _claim(f"home-{socket.inet_ntoa(home.four)}")
            if claim is not None:
                return home, claim

    def addresses(self, port: int) -> list[tuple[str, int]]:
        """Return the addresses at which a server that bound `port` can be reached."""
        return [(socket.inet_ntoa(host), port) for host in self.home]

    def close(self) -> None:
        """Let others have the addresses."""
        self._claim.close()


def moved(
    address: bytes, *, is_bind: bool, ports: Collection[int], home: Home, bound: bytes
) -> tuple[int, bytes] | None:
    """Return where in a socket address to write what, so that it leads home; None if it is to stay as it is.

    Args:
        address: As the program gave it to `bind` or `connect`.
        is_bind: To which of the two.
        ports: The ports that are this container's own.
        home: Where they are.
        bound: The one of its addresses that a server bound last, to which connections go.
    """
    family, port = address[:2], int.from_bytes(address[2:4], "big")
    if port not in ports:
        return None
    if family == _INET and len(address) >= _SIZE:
        host = address[_HOST_AT : _HOST_AT + 4]
        if is_bind:
            return _HOST_AT, home.four
        return (_HOST_AT, bound) if _is_here(host) and host not in home else None
    if family == _INET6 and len(address) >= _SIZE6:
        host = address[_HOST6_AT:_SIZE6]
        if is_bind:
            return _HOST6_AT, _MAPPED + home.six
        is_mapped = host.startswith(_MAPPED)
        if is_mapped and host[12:] in home:
            return None
        is_here = _is_here(host[12:]) if is_mapped else host in (bytes(16), _LOOPBACK6)
        return (_HOST6_AT, _MAPPED + bound) if is_here else None
    return None


def _is_here(host: bytes) -> bool:
    return host[0] == 127 or host == bytes(4)


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
