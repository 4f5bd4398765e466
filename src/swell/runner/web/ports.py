"""Ports that a container has to itself, although it shares the network of its machine with others like it.

A server of the user's binds a fixed port, on whichever address, and containers of one function all bind the same. So
each container gets a loopback address of its own, out of the sixteen million that every machine has, and for each of
its ports some free ones there. A socket that is to be bound to the port is bound there instead, and connections to it
from within the container lead there: see `keeper`. Nothing else is moved: neither other ports, nor connections to
elsewhere. The number changes together with the address, because whoever listens on all addresses of the machine has the
port on all of them, and because numbers below 1024 are for privileged programs.

Where that cannot be done, the port is the machine's: one container gets it, and any other fails to start, with an error
that says why. This module must not know how system calls are caught, or what servers say.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple, Protocol

from swell.errors import ConflictError

__all__ = ["Ports", "PrivatePorts", "Refuge", "SharedPorts", "moved"]

_INET: Final = struct.pack("=H", socket.AF_INET)
_INET6: Final = struct.pack("=H", socket.AF_INET6)
_MAPPED: Final = bytes(10) + b"\xff\xff"  #: begins an address of IPv6 that stands for one of IPv4
_LOOPBACK6: Final = bytes(15) + b"\1"
_HERE, _HERE6 = bytes(4), bytes(16)  #: all addresses; to a client they mean this machine
_SIZE, _SIZE6 = 16, 24  #: bytes that the kernel wants of a socket address

Address = tuple[str, int]


class Ports(Protocol):
    """Where the servers of this container are."""

    def addresses(self, port: int) -> list[Address]:
        """Return the addresses at which a server that bound `port` can be reached; one of them will do."""
        ...


# ---------------------------------------------------------------- private ones


class Refuge(NamedTuple):
    """Where sockets go that are bound to one port of one container.

    There are two numbers, because a server may bind its port once for IPv4 and once for IPv6.
    """

    host: bytes  #: address of IPv4, four bytes
    four: int
    six: int


class PrivatePorts:
    """Ports at an address that no other process on this machine gets, until this is closed or its process is gone."""

    def __init__(self, ports: Collection[int]) -> None:
        host, self._claim = self._settle()
        with ExitStack() as stack:  # all are held until the last one is found, so that no two are the same
            self.refuges: Mapping[int, Refuge] = {
                port: Refuge(host, _free(host, stack), _free(host, stack)) for port in ports
            }

    @staticmethod
    def _settle() -> tuple[bytes, socket.socket]:
        while True:
            second, third, fourth = os.urandom(3)
            # Far from 127.0.0.1, 127.0.1.1 and 127.0.0.53, which other programs use.
            host = bytes((127, 16 + second % 224, third, 1 + fourth % 254))
            claim = _claim(f"host-{socket.inet_ntoa(host)}")
            if claim is not None:
                return host, claim

    def addresses(self, port: int) -> list[Address]:
        """Return the addresses at which a server that bound `port` can be reached."""
        refuge = self.refuges[port]
        host = socket.inet_ntoa(refuge.host)
        return [(host, refuge.four), (host, refuge.six)]

    def close(self) -> None:
        """Let others have the address."""
        self._claim.close()


def _free(host: bytes, stack: ExitStack) -> int:
    tried = stack.enter_context(socket.socket())
    tried.bind((socket.inet_ntoa(host), 0))
    return tried.getsockname()[1]


class Moved(NamedTuple):
    """A socket address that leads to a refuge."""

    address: bytes
    port: int  #: that the program wanted
    number: int  #: of the one that it gets
    is_six: bool  #: it is for a socket of IPv6


def moved(address: bytes, refuges: Mapping[int, Refuge], bound: Mapping[int, int] | None) -> Moved | None:
    """Return where a socket address is to lead; None if it is to stay as it is.

    An address that leads to a refuge already is treated like the one that it was: it may be of the wrong number there.

    Args:
        address: As a program gave it to `bind` or `connect`.
        refuges: Of this container's ports.
        bound: For `connect`, the number that was bound last in a port's refuge, by port; None for `bind`.
    """
    family, number = address[:2], int.from_bytes(address[2:4], "big")
    if family == _INET and len(address) >= _SIZE:
        is_six, host, is_here = False, address[4:8], _is_here(address[4:8])
    elif family == _INET6 and len(address) >= _SIZE6:
        is_six, host, is_here = True, address[20:24], _is_here6(address[8:24])
    else:
        return None
    found = next(
        ((port, it) for port, it in refuges.items() if number == port or (number in it[1:] and host == it.host)), None
    )
    if found is None or (bound is not None and not is_here):
        return None
    port, refuge = found
    own = refuge.six if is_six else refuge.four
    number = own if bound is None else bound.get(port, own)
    head = family + number.to_bytes(2, "big")
    rest = address[4:8] + _MAPPED + refuge.host + address[24:] if is_six else refuge.host + address[8:]
    return Moved(head + rest, port, number, is_six)


def _is_here(host: bytes) -> bool:
    return host[0] == 127 or host == _HERE


def _is_here6(host: bytes) -> bool:
    return _is_here(host[12:]) if host.startswith(_MAPPED) else host in (_HERE6, _LOOPBACK6)


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
