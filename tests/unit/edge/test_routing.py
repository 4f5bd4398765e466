"""From host and path to a web function."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from swell.edge.gateway.refusal import Refusal
from swell.edge.gateway.routing import Router, labels
from swell.errors import NotFoundError
from swell.model import ParameterSpec, WebSpec
from swell.wire.web import Route

SIZE = ParameterSpec("size", "int", 1, has_default=True)
IS_NEW = ParameterSpec("is_new", "bool", False, has_default=True)
KEY = ParameterSpec("key", "bytes")


def route(label: str, *parameters: ParameterSpec) -> Route:
    web = WebSpec("asgi", label=label)
    return Route(label, f"fu-{label}", "", web, "ap-1", "app", "Shop.*", 300.0, parameters)


class Server:
    """Names variants in the order in which they are asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    async def bind(self, function_id: str, changes: bytes) -> str:
        parameters = msgspec.msgpack.decode(msgspec.msgpack.decode(changes)["parameters"])
        if parameters.get("size") == 404:
            raise NotFoundError("no such thing")
        self.asked.append((function_id, parameters))
        return f"{function_id}-{len(self.asked)}"


def router_of(*routes: Route) -> tuple[Router, Server]:
    server = Server()
    router = Router(server.bind)
    router.learn(routes)
    return router, server


@pytest.mark.parametrize(
    ("host", "target", "path", "root"),
    [
        (b"127.0.0.1:8700", b"/shop", b"/", b"/shop"),
        (b"127.0.0.1:8700", b"/shop/", b"/", b"/shop"),
        (b"127.0.0.1:8700", b"/shop?a=1", b"/?a=1", b"/shop"),
        (b"127.0.0.1:8700", b"/shop/a/b%20c?d=/shop", b"/a/b%20c?d=/shop", b"/shop"),
        (b"127.0.0.1:8700", b"/shop//evil", b"//evil", b"/shop"),
        (b"", b"/shop/x", b"/x", b"/shop"),
        (b"shop.localhost:8700", b"/a?b", b"/a?b", b""),
        (b"SHOP.localhost", b"/shop/a", b"/shop/a", b""),
        (b"other.localhost", b"/shop/a", b"/a", b"/shop"),
    ],
)
def test_a_label_is_found_in_the_host_or_else_in_the_path(host: bytes, target: bytes, path: bytes, root: bytes) -> None:
    router, _ = router_of(route("shop"))
    aim = router.find(host, target)
    assert aim is not None
    assert (aim.route.label, aim.path, aim.root) == ("shop", path, root)


@pytest.mark.parametrize("target", [b"/", b"*", b"/shops", b"/Shop", b"/sh%6fp", b"//shop", b"/?shop", b"/x/shop"])
def test_what_is_no_label_leads_nowhere(target: bytes) -> None:
    router, _ = router_of(route("shop"))
    assert router.find(b"shop", target) is None
    assert router.find(b"shopx.localhost", target) is None


def test_a_route_that_is_gone_leads_nowhere() -> None:
    router, _ = router_of(route("shop"), route("a"))
    assert router.labels == ["a", "shop"]
    router.learn([route("b")])
    assert router.find(b"", b"/shop") is None
    assert [each.label for each in router.routes] == ["b"]


def function_of(router: Router, target: bytes) -> str:
    aim = router.find(b"", target)
    assert aim is not None
    return router.known(aim) or asyncio.run(router.ask(aim))


def test_parameters_are_typed_and_a_set_of_them_is_asked_for_once() -> None:
    router, server = router_of(route("shop", SIZE, IS_NEW))
    assert function_of(router, b"/shop") == "fu-shop"
    assert function_of(router, b"/shop?size=1&is_new=no&other=2") == "fu-shop"
    assert function_of(router, b"/shop?size=7&is_new=TRUE") == "fu-shop-1"
    assert function_of(router, b"/shop/x?is_new=1&size=07&page=3") == "fu-shop-1"
    assert server.asked == [("fu-shop", {"size": 7, "is_new": True})]
    router.learn([route("shop", SIZE, IS_NEW)])  # variants may be gone
    assert function_of(router, b"/shop?size=7&is_new=TRUE") == "fu-shop-2"


def test_bytes_are_base64() -> None:
    router, server = router_of(route("shop", KEY))
    function_of(router, b"/shop?key=_w%3D%3D")
    assert server.asked == [("fu-shop", {"key": b"\xff"})]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (b"", "key"),
        (b"?key=A", "key='A' is no URL-safe base64"),
        (b"?key=QQ==&size=x", "size='x' is no int"),
        (b"?key=QQ==&size=99999999999999999999", "64 bits"),
        (b"?key=QQ==&is_new=maybe", "neither true nor false"),
    ],
)
def test_wrong_parameters_are_named(query: bytes, text: str) -> None:
    router, _ = router_of(route("shop", KEY, SIZE, IS_NEW))
    with pytest.raises(Refusal, match=text) as refused:
        function_of(router, b"/shop" + query)
    assert refused.value.status == 400


def test_what_the_server_does_not_know_is_not_found() -> None:
    router, _ = router_of(route("shop", SIZE))
    with pytest.raises(Refusal, match="no such thing") as refused:
        function_of(router, b"/shop?size=404")
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("host", "target", "named"),
    [
        (b"here:1", b"/label/x?y", ("", "label")),
        (b"Label.example:1", b"/x", ("label", "x")),
        (b"", b"/label?x=/y", ("", "label")),
        (b"label.x", b"//there/x", ("label", "")),
        (b"x", b"*", ("", "")),
    ],
)
def test_labels_stand_in_the_host_and_the_path(host: bytes, target: bytes, named: tuple[str, str]) -> None:
    assert labels(host, target) == named
