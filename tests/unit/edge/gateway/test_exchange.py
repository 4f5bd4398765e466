"""A request whose client was told to come back, and what it finds then."""

from __future__ import annotations

import pytest
from crossing import Gateway, SiteOwner
from fakes import Wire

from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.downstream import Downstream
from swell.edge.gateway.resume_redirect import split_resume_key
from swell.model import OutputStatus

WAIT_S = 150.0
REQUEST = b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n"


class Parked:
    """A request at a site that is silent; its client has just been redirected."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.gateway.leases.way = lambda: "silent"
        context = self.gateway.leases.context
        assert context is not None

        class Returning(SiteOwner):
            def admit(self, client: Downstream) -> RequestSink:
                parked = context.parking.find(split_resume_key(client.head.target)[1])
                if parked is None:
                    return super().admit(client)
                parked.request.resume(client)
                return parked.request

        self.gateway.owner = Returning(context)
        _, wire = self.ask(b"/path")
        self.gateway.loop.pass_time(WAIT_S)
        assert wire.written.startswith(b"HTTP/1.1 303")
        self.place = wire.written.partition(b"location: ")[2].partition(b"\r\n")[0]
        self.site = self.gateway.leases.wires[0]

    def ask(self, target: bytes) -> tuple[Downstream, Wire]:
        connection, wire = self.gateway.connect()
        connection.data_received(REQUEST % target)
        self.gateway.loop.run()
        return connection, wire

    def answer(self, data: bytes) -> None:
        assert self.site.upstream is not None
        self.site.upstream.data_received(data)

    def come_back(self) -> bytes:
        _, wire = self.ask(self.place)
        return wire.written


def test_an_answer_that_came_meanwhile_is_found() -> None:
    parked = Parked()
    parked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert parked.gateway.leases.held == 0
    assert parked.come_back().endswith(b"content-length: 5\r\n\r\nhello")


def test_an_answer_that_ended_with_its_connection_meanwhile_is_whole() -> None:
    parked = Parked()
    parked.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
    parked.site.abort()
    parked.gateway.loop.run()
    assert parked.gateway.leases.held == 0
    assert parked.come_back().endswith(b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


def test_an_answer_that_was_cut_off_meanwhile_is_told_as_that() -> None:
    parked = Parked()
    parked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    parked.site.abort()
    parked.gateway.loop.run()
    assert parked.come_back().startswith(b"HTTP/1.1 502")


def test_a_long_answer_waits_in_its_container() -> None:
    parked = Parked()
    parked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(60_000))
    assert parked.site.reads
    parked.answer(bytes(10_000))
    assert not parked.site.reads
    assert parked.come_back().endswith(bytes(70_000))
    assert parked.site.reads


def test_where_all_that_may_be_kept_is_used_up_any_answer_waits_in_its_container() -> None:
    parked = Parked()
    context = parked.gateway.leases.context
    assert context is not None
    while context.parking.keep(1 << 20):
        pass
    parked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    assert not parked.site.reads
    assert parked.come_back().endswith(b"\r\n\r\nhello")
    assert parked.site.reads


def test_what_was_kept_for_a_client_that_never_comes_is_dropped() -> None:
    parked = Parked()
    context = parked.gateway.leases.context
    assert context is not None
    parked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    before = context.parking.kept
    parked.gateway.loop.pass_time(60.0)
    assert (before, context.parking.kept) == (5, 0)
    assert not parked.come_back().startswith(b"HTTP/1.1 200")


def test_a_client_that_comes_back_too_late_is_told_so_although_its_handler_has_not_noticed_yet() -> None:
    parked = Parked()
    context = parked.gateway.leases.context
    assert context is not None
    parked.site.write_eof = lambda: None  # it notices nothing for now  # pyright: ignore[reportAttributeAccessIssue]
    parked.gateway.loop.pass_time(60.0)
    assert parked.gateway.leases.held == 1
    _, _, key = parked.place.partition(b"=")
    assert context.parking.find(key.decode()) is None


class Lost:
    """A request whose site breaks the connection off before it answers."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.gateway.leases.way = lambda: "silent"
        self.client, self.wire = self.gateway.connect()
        self.client.data_received(REQUEST % b"/path")
        self.gateway.loop.run()
        self.gateway.leases.wires[0].abort()
        self.gateway.loop.run()

    def server_says(self, status: OutputStatus, text: str) -> None:
        (lease,) = self.gateway.leases.lease_requests
        lease.resolve(OutputStatus.TERMINATED, status, text)


def test_a_client_is_told_that_its_container_used_too_much_memory(caplog: pytest.LogCaptureFixture) -> None:
    lost = Lost()
    assert lost.wire.written == b""
    lost.server_says(OutputStatus.OUT_OF_MEMORY, "its container is gone: it used 612 MiB of memory")
    assert lost.wire.written.startswith(b"HTTP/1.1 502")
    assert b"used more memory than it may" in lost.wire.written
    said = [record.getMessage() for record in caplog.records]
    assert said == ["a request to site failed: its container is gone: it used 612 MiB of memory"]
    answer = lost.wire.written
    lost.gateway.loop.pass_time(10.0)
    assert (lost.wire.written, lost.gateway.leases.held) == (answer, 0)


def test_a_container_that_is_there_has_broken_the_connection_off() -> None:
    lost = Lost()
    lost.gateway.loop.pass_time(1.0)
    assert lost.wire.written.startswith(b"HTTP/1.1 502")
    assert b"broke the connection off" in lost.wire.written
    assert lost.gateway.leases.held == 0


def test_a_client_that_leaves_while_it_is_unknown_how_its_container_ended_costs_nothing() -> None:
    lost = Lost()
    lost.client.connection_lost(None)
    lost.gateway.loop.pass_time(1.0)
    assert (lost.wire.written, lost.gateway.leases.held) == (b"", 0)


def test_a_client_that_does_not_read_has_its_site_wait() -> None:
    gateway = Gateway()
    gateway.leases.way = lambda: "silent"
    connection, _ = gateway.connect()
    connection.data_received(REQUEST % b"/path")
    connection.pause_writing()
    gateway.loop.run()
    assert not gateway.leases.wires[0].reads
    connection.resume_writing()
    assert gateway.leases.wires[0].reads
