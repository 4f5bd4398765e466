"""Which socket addresses lead home, and which stay as they are."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, closing

import pytest

from swell.errors import ConflictError
from swell.runner.web.ports import Home, PrivatePorts, SharedPorts, moved

HOME = Home(bytes((127, 20, 30, 40)), bytes((127, 20, 30, 41)))
PORTS = {8000, 9000}


def four(host: str, port: int = 8000) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)


def six(host: str, port: int = 8000) -> bytes:
    head = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 7)
    return head + socket.inet_pton(socket.AF_INET6, host) + struct.pack("=I", 3)


def after(address: bytes, *, is_bind: bool, bound: bytes = HOME.four) -> tuple[str, int]:
    """Where an address leads once it is moved."""
    change = moved(address, is_bind=is_bind, ports=PORTS, home=HOME, bound=bound)
    if change is not None:
        offset, host = change
        address = address[:offset] + host + address[offset + len(host) :]
    family, port = struct.unpack("=H", address[:2])[0], struct.unpack(">H", address[2:4])[0]
    if family == socket.AF_INET:
        assert address[8:] == bytes(8)
        return socket.inet_ntop(family, address[4:8]), port
    assert (address[4:8], address[24:]) == (struct.pack(">I", 7), struct.pack("=I", 3)), "flow and scope stay"
    return socket.inet_ntop(family, address[8:24]), port


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.9.9.9", "192.168.1.5"])
def test_a_bind_to_the_port_is_moved_whatever_the_host(host: str) -> None:
    assert after(four(host), is_bind=True) == ("127.20.30.40", 8000)
    assert after(four(host, 9000), is_bind=True) == ("127.20.30.40", 9000)


@pytest.mark.parametrize("host", ["::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "fe80::1", "2001:db8::5"])
def test_a_bind_of_the_other_family_has_an_address_of_its_own(host: str) -> None:
    assert after(six(host), is_bind=True) == ("::ffff:127.20.30.41", 8000)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.0.1.1"])
def test_connections_to_this_machine_go_where_a_server_was_bound_last(host: str) -> None:
    assert after(four(host), is_bind=False) == ("127.20.30.40", 8000)
    assert after(four(host), is_bind=False, bound=HOME.six) == ("127.20.30.41", 8000)


@pytest.mark.parametrize("host", ["::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"])
def test_so_do_those_of_the_other_family(host: str) -> None:
    assert after(six(host), is_bind=False) == ("::ffff:127.20.30.40", 8000)
    assert after(six(host), is_bind=False, bound=HOME.six) == ("::ffff:127.20.30.41", 8000)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.5", "8.8.8.8", "127.20.30.40", "127.20.30.41"])
def test_connections_to_elsewhere_and_home_stay_as_they_are(host: str) -> None:
    assert after(four(host), is_bind=False) == (host, 8000)
    assert after(six(f"::ffff:{host}"), is_bind=False) == (f"::ffff:{host}", 8000)


@pytest.mark.parametrize("host", ["2001:db8::5", "fe80::1", "::2", "100::7f00:1"])
def test_so_do_other_connections_of_the_other_family(host: str) -> None:
    assert after(six(host), is_bind=False) == (host, 8000)


@pytest.mark.parametrize("is_bind", [True, False])
def test_other_ports_stay_as_they_are(is_bind: bool) -> None:
    for port in (0, 80, 7999, 8001, 65535):
        assert after(four("127.0.0.1", port), is_bind=is_bind) == ("127.0.0.1", port)
        assert after(six("::1", port), is_bind=is_bind) == ("::1", port)


@pytest.mark.parametrize("is_bind", [True, False])
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
def test_what_is_no_address_of_the_internet_stays_as_it_is(address: bytes, is_bind: bool) -> None:
    assert moved(address, is_bind=is_bind, ports=PORTS, home=HOME, bound=HOME.four) is None


def test_homes_are_in_the_loopback_network_far_from_what_others_use() -> None:
    for _ in range(2000):
        home = Home.random()
        assert home.four[:3] == home.six[:3]
        assert home.four[0] == 127
        assert home.four[1] >= 16
        assert 2 <= home.four[3] < home.six[3] <= 254


def test_no_two_have_one_home() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(closing(PrivatePorts())) for _ in range(200)]
        assert len({each.home for each in ports}) == 200
        host, port = ports[0].addresses(8000)[0]
        assert (socket.inet_aton(host), port) == (ports[0].home.four, 8000)


def test_of_two_that_claim_one_port_the_second_is_told_why_it_cannot_have_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with closing(SharedPorts([port], "of the weather")) as first:
        assert first.addresses(port) == [("127.0.0.1", port), ("::1", port)]
        assert f"shares port {port} with the whole machine, because of the weather" in capsys.readouterr().err
        with pytest.raises(
            ConflictError, match=r"because of the weather; another container has it: set max_containers=1"
        ):
            SharedPorts([port], "of the weather")
    SharedPorts([port], "of the weather").close()
