"""A request on its way to what is gone by then goes elsewhere: where its label leads now, or to another container."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from patience import patience

from swell.config import Settings
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.parking import Parking
from swell.edge.gateway.proxy_auth import OPEN
from swell.edge.gateway.routing import Router
from swell.errors import NotFoundError, ResourceExhausted
from swell.model import OutputStatus, WebSpec
from swell.wire.web import Route

GONE = NotFoundError.code
PATIENCE_S = patience(20.0)


def route(function_id: str, *, needs_token: bool = False) -> Route:
    web = WebSpec("asgi", label="site", requires_proxy_auth=needs_token)
    return Route(
        label="site",
        function_id=function_id,
        method="",
        web=web,
        app_id="ap-1",
        app_name="app",
        function_name="site",
        timeout_s=300.0,
        parameters=(),
    )


class Leases:
    """Knows for which functions a container was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.asked_again = asyncio.Event()

    def ask(self, function_id: str, method: str, parameters: bytes, holder: Exchange) -> Any:
        if self.asked:
            self.asked_again.set()
        self.asked.append(function_id)
        call_id = f"fc-{len(self.asked)}"
        return SimpleNamespace(leased_at=None, call_id=call_id, release=lambda status: None, cancel=lambda: None)

    def forget(self, lease: object) -> bool:
        return True


class Request:
    """One request to the label `site`, which leads to fu-old."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.router = Router()
        self.router.learn([route("fu-old")])
        self.refusals: list[int] = []
        head = SimpleNamespace(has_body=False, host=b"", wants_websocket=False)
        client = SimpleNamespace(head=head, address="", respond=lambda error: self.refusals.append(error.status))
        loop = asyncio.get_running_loop()
        context = SimpleNamespace(
            router=self.router, leases=self.leases, settings=Settings(), parking=Parking(loop, 1), loop=loop
        )
        match = self.router.find(b"", b"/site/")
        assert match is not None
        self.exchange = Exchange(context, client, match, OPEN, lambda status: None)
        self.exchange.start()

    @property
    def asked(self) -> list[str]:
        return self.leases.asked


async def test_one_that_its_former_function_does_not_get_is_asked_for_at_the_present_one() -> None:
    request = Request()
    request.router.learn([route("fu-new")])
    request.exchange.refused(GONE, "function fu-old does not exist", None)
    assert request.asked == ["fu-old", "fu-new"]
    assert request.refusals == []


async def test_one_that_waited_when_its_app_was_stopped_is_asked_for_at_the_present_one() -> None:
    request = Request()
    request.router.learn([route("fu-new")])
    request.exchange.ended(OutputStatus.TERMINATED, "the app was stopped")
    assert request.asked == ["fu-old", "fu-new"]
    assert request.refusals == []


async def test_it_goes_on_as_often_as_the_label_moves() -> None:
    request = Request()
    for name in ("fu-2", "fu-3", "fu-4"):
        request.router.learn([route(name)])
        request.exchange.refused(GONE, "gone", None)
    assert request.asked == ["fu-old", "fu-2", "fu-3", "fu-4"]


async def test_where_the_label_leads_to_the_same_function_or_nowhere_it_is_not_found() -> None:
    for routes in ([route("fu-old")], []):
        request = Request()
        request.router.learn(routes)
        request.exchange.refused(GONE, "function fu-old does not exist", None)
        assert (request.asked, request.refusals) == (["fu-old"], [404])


async def test_a_limit_that_refuses_it_is_no_reason_to_go_elsewhere() -> None:
    request = Request()
    request.router.learn([route("fu-new")])
    request.exchange.refused(ResourceExhausted.code, "pending_sync_max", 1.0)
    assert (request.asked, request.refusals) == (["fu-old"], [429])


async def test_one_that_has_shown_no_token_does_not_get_where_one_is_needed() -> None:
    request = Request()
    request.router.learn([route("fu-new", needs_token=True)])
    request.exchange.refused(GONE, "function fu-old does not exist", None)
    assert (request.asked, request.refusals) == (["fu-old"], [404])


async def test_one_that_has_a_container_stays_there() -> None:
    request = Request()
    request.router.learn([route("fu-new")])
    request.exchange._lease.leased_at = 1.0
    request.exchange.ended(OutputStatus.TERMINATED, "the app was stopped")
    assert (request.asked, request.refusals) == (["fu-old"], [503])


async def test_one_whose_container_has_gone_before_it_accepted_goes_to_another() -> None:
    request, released = Request(), list[OutputStatus]()
    connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    request.exchange._context.upstreams = SimpleNamespace(idle=lambda site: None, connect=lambda site: connected)
    lease = request.exchange._lease
    lease.leased_at, lease.release_in_doubt = 1.0, released.append
    request.exchange.leased("co-1", "a node")
    await asyncio.sleep(0)
    request.exchange.ended(OutputStatus.INTERNAL_FAILURE, "its node is lost")
    async with asyncio.timeout(PATIENCE_S):
        await request.leases.asked_again.wait()
    assert (request.refusals, released, connected.cancelled()) == ([], [OutputStatus.TERMINATED], True)
