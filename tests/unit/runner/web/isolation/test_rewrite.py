"""Which socket addresses lead home, and which stay as they are."""

from __future__ import annotations

import socket
import struct

import pytest

from swell.runner.web.isolation.rewrite import PortMapping, rewrite_address

MAPPINGS = {
    8000: PortMapping(bytes((127, 20, 30, 40)), 41_004, 41_006),
    80: PortMapping(bytes((127, 20, 30, 40)), 42_004, 42_006),
}
NOTHING_YET: dict[int, int] = {}


def four(host: str, port: int = 8000) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)


def six(host: str, port: int = 8000) -> bytes:
    head = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 7)
    return head + socket.inet_pton(socket.AF_INET6, host) + struct.pack("=I", 3)


def after(address: bytes, bound: dict[int, int] | None = None) -> tuple[str, int]:
    """Where an address leads after `bind`, or after `connect` if something is said of what is bound."""
    move = rewrite_address(address, MAPPINGS, bound)
    if move is not None:
        assert len(move.address) == len(address)
        address = move.address
    family, port = struct.unpack("=H", address[:2])[0], struct.unpack(">H", address[2:4])[0]
    if family == socket.AF_INET:
        assert address[8:] == bytes(8)
        return socket.inet_ntop(family, address[4:8]), port
    assert (address[4:8], address[24:]) == (struct.pack(">I", 7), struct.pack("=I", 3)), "flow and scope stay"
    return socket.inet_ntop(family, address[8:24]), port


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.9.9.9", "192.168.1.5"])
def test_a_bind_to_the_port_is_moved_whatever_the_host(host: str) -> None:
    assert after(four(host)) == ("127.20.30.40", 41_004)
    assert after(four(host, 80)) == ("127.20.30.40", 42_004)


@pytest.mark.parametrize("host", ["::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "fe80::1", "2001:db8::5"])
def test_a_bind_of_the_other_family_gets_another_number(host: str) -> None:
    assert after(six(host)) == ("::ffff:127.20.30.40", 41_006)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.0.1.1"])
def test_connections_to_this_machine_go_where_a_server_was_bound_last(host: str) -> None:
    assert after(four(host), NOTHING_YET) == ("127.20.30.40", 41_004)
    assert after(four(host), {8000: 41_006, 80: 42_004}) == ("127.20.30.40", 41_006)
    assert after(four(host, 80), {8000: 41_006, 80: 42_004}) == ("127.20.30.40", 42_004)


@pytest.mark.parametrize("host", ["::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"])
def test_so_do_those_of_the_other_family(host: str) -> None:
    assert after(six(host), NOTHING_YET) == ("::ffff:127.20.30.40", 41_006)
    assert after(six(host), {8000: 41_004}) == ("::ffff:127.20.30.40", 41_004)


def test_an_address_that_was_moved_before_is_moved_as_what_it_was() -> None:
    for number in (41_004, 41_006):
        assert after(four("127.20.30.40", number)) == ("127.20.30.40", 41_004)
        assert after(six("::ffff:127.20.30.40", number)) == ("::ffff:127.20.30.40", 41_006)
        assert after(four("127.20.30.40", number), {8000: 41_006}) == ("127.20.30.40", 41_006)
        assert after(six("::ffff:127.20.30.40", number), {8000: 41_004}) == ("::ffff:127.20.30.40", 41_004)
        assert after(four("127.20.30.41", number)) == ("127.20.30.41", number), "it is somebody else's"


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.5", "8.8.8.8"])
def test_connections_to_elsewhere_stay_as_they_are(host: str) -> None:
    assert after(four(host), NOTHING_YET) == (host, 8000)
    assert after(six(f"::ffff:{host}"), NOTHING_YET) == (f"::ffff:{host}", 8000)


@pytest.mark.parametrize("host", ["2001:db8::5", "fe80::1", "::2", "100::7f00:1"])
def test_so_do_other_connections_of_the_other_family(host: str) -> None:
    assert after(six(host), NOTHING_YET) == (host, 8000)


@pytest.mark.parametrize("bound", [None, NOTHING_YET])
def test_other_ports_stay_as_they_are(bound: dict[int, int] | None) -> None:
    for port in (0, 81, 7999, 8001, 41_004, 65535):
        assert after(four("127.0.0.1", port), bound) == ("127.0.0.1", port)
        assert after(six("::1", port), bound) == ("::1", port)


@pytest.mark.parametrize("bound", [None, NOTHING_YET])
@pytest.mark.parametrize(
    "address",
    [
        b"",
        b"\0",
        four("127.0.0.1")[:3],
        four("127.0.0.1")[:15],
        six("::1")[:23],
        struct.pack("=H", socket.AF_UNIX) + struct.pack(">H", 8000) + b"/some/path/that/is/long",
        struct.pack("=H", socket.AF_UNSPEC) + four("127.0.0.1")[2:],
    ],
)
def test_what_is_no_address_of_the_internet_stays_as_it_is(address: bytes, bound: dict[int, int] | None) -> None:
    assert rewrite_address(address, MAPPINGS, bound) is None
