"""No two containers get one address, and a port that cannot be private is claimed."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import pytest

from swell.errors import ConflictError
from swell.runner.web.isolation.ports import PrivatePorts, SharedPorts


def test_no_two_have_one_address_and_none_has_one_that_others_use() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(closing(PrivatePorts([80, 8000]))) for _ in range(200)]
        hosts = {each.mappings[80].host for each in ports}
        assert len(hosts) == 200
        assert all(host[0] == 127 and host[1] >= 16 for host in hosts)
        for each in ports:
            assert len({number for mapping in each.mappings.values() for number in mapping[1:]}) == 4
        host, number = ports[0].addresses(8000)[1]
        assert (socket.inet_aton(host), number) == (ports[0].mappings[8000].host, ports[0].mappings[8000].six)


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
