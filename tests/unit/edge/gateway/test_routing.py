"""From host and path to a web function."""

from __future__ import annotations

import msgspec
import pytest

from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.routing import Router, labels, parameters_of
from swell.model import ParameterSpec, WebSpec
from swell.wire.web import Route

SIZE = ParameterSpec("size", "int", 1, has_default=True)
IS_NEW = ParameterSpec("is_new", "bool", False, has_default=True)
KEY = ParameterSpec("key", "bytes")


def route(label: str, *parameters: ParameterSpec) -> Route:
    web = WebSpec("asgi", label=label)
    return Route(
        label=label,
        function_id=f"fu-{label}",
        method="",
        web=web,
        app_id="ap-1",
        app_name="app",
        function_name="Shop.*",
        timeout_s=300.0,
        parameters=parameters,
    )


def router_of(*routes: Route) -> Router:
    router = Router()
    router.learn(routes)
    return router


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
    router = router_of(route("shop"))
    match = router.find(host, target)
    assert match is not None
    assert (match.route.label, match.path, match.root) == ("shop", path, root)


@pytest.mark.parametrize("target", [b"/", b"*", b"/shops", b"/Shop", b"/sh%6fp", b"//shop", b"/?shop", b"/x/shop"])
def test_what_is_no_label_leads_nowhere(target: bytes) -> None:
    router = router_of(route("shop"))
    assert router.find(b"shop", target) is None
    assert router.find(b"shopx.localhost", target) is None


def test_a_route_that_is_gone_leads_nowhere() -> None:
    router = router_of(route("shop"), route("a"))
    assert router.labels == ["a", "shop"]
    router.learn([route("b")])
    assert router.find(b"", b"/shop") is None
    assert [each.label for each in router.routes] == ["b"]


def parameters(router: Router, target: bytes) -> object:
    """Return the parameters of the class that a request names; None if they are those of the function itself."""
    match = router.find(b"", target)
    assert match is not None
    encoded = parameters_of(match)
    return msgspec.msgpack.decode(encoded) if encoded else None


def test_parameters_are_typed_and_what_is_declared_or_no_parameter_names_no_variant() -> None:
    router = router_of(route("shop", SIZE, IS_NEW), route("plain"))
    assert parameters(router, b"/plain?size=7") is None
    assert parameters(router, b"/shop") is None
    assert parameters(router, b"/shop?size=1&is_new=no&other=2") is None
    assert parameters(router, b"/shop?size=7&is_new=TRUE") == {"size": 7, "is_new": True}


def test_equal_parameters_are_equal_bytes() -> None:
    router = router_of(route("shop", SIZE, IS_NEW))
    targets = (b"/shop?size=7&is_new=TRUE", b"/shop/x?is_new=1&size=07&page=3")
    matches = [router.find(b"", target) for target in targets]
    assert len({parameters_of(match) for match in matches if match is not None}) == 1


def test_bytes_are_base64() -> None:
    assert parameters(router_of(route("shop", KEY)), b"/shop?key=_w%3D%3D") == {"key": b"\xff"}


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
    router = router_of(route("shop", KEY, SIZE, IS_NEW))
    with pytest.raises(HTTPError, match=text) as refused:
        parameters(router, b"/shop" + query)
    assert refused.value.status == 400


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
