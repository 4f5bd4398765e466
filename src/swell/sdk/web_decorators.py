"""Decorators that make a function or method answer HTTP: endpoints, ASGI and WSGI apps, whole servers.

They set the mark "web" and check the function's signature; the container serves. Each request, and each WebSocket for
as long as it lasts, is one input: a container takes one at a time unless `concurrent` sets another number.
`current_input_id()` works in handlers. This module must not know any web framework.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from swell.errors import DeprecationError, InvalidError
from swell.sdk.declare.marks import check_parentheses, mark
from swell.sdk.declare.source import is_async, is_generator, is_method

if TYPE_CHECKING:
    from swell.sdk.method import Method

__all__ = ["asgi_app", "fastapi_endpoint", "web_endpoint", "web_server", "wsgi_app"]

P = ParamSpec("P")
R = TypeVar("R")


def fastapi_endpoint(
    _parentheses: None = None,
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
) -> Callable[[Callable[P, R]], Method[..., R]]:
    """Serve a function as the single route, /, of a FastAPI app; its arguments follow FastAPI's rules.

    Web pages of any origin may call it. FastAPI must be installed where the containers run. A function that is not
    async runs on a thread.

    Args:
        method: The HTTP method; others are answered 405.
        label: Name in the URL. Default: made of the App's and the Function's names.
        custom_domains: Accepted and recorded.
        docs: Serve /docs, /redoc and /openapi.json.
        requires_proxy_auth: Refuse requests without a token.

    Raises:
        InvalidError: the function is a generator, or is decorated for calls as well.
    """
    check_parentheses(_parentheses, "fastapi_endpoint")
    values = {"kind": "endpoint", "method": method.upper(), "docs": docs}
    return _web("fastapi_endpoint", values, label, custom_domains, requires_proxy_auth)


def asgi_app(
    _parentheses: None = None,
    *,
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Callable[P, R]], Method[..., R]]:
    """Serve the ASGI app (FastAPI, Starlette, …) that a function returns; it is called once per container.

    That is after the enter hooks, and what it raises is a failed start, as is a failure of the app's lifespan startup.
    Bodies stream both ways; a WebSocket message may have 2 MiB, and is not compressed.

    Args:
        label: Name in the URL. Default: made of the App's and the Function's names.
        custom_domains: Accepted and recorded.
        requires_proxy_auth: Refuse requests without a token.

    Raises:
        InvalidError: the function is async, a generator, or has parameters.
    """
    check_parentheses(_parentheses, "asgi_app")
    return _web("asgi_app", {"kind": "asgi"}, label, custom_domains, requires_proxy_auth)


def wsgi_app(
    _parentheses: None = None,
    *,
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Callable[P, R]], Method[..., R]]:
    """Serve the WSGI app (Flask, Django, …) that a function returns; it is called once per container.

    Requests run on threads. When a client goes away, the app's next read or write for it raises an OSError.

    Args:
        label: Name in the URL. Default: made of the App's and the Function's names.
        custom_domains: Accepted and recorded.
        requires_proxy_auth: Refuse requests without a token.

    Raises:
        InvalidError: the function is async, a generator, or has parameters.
    """
    check_parentheses(_parentheses, "wsgi_app")
    return _web("wsgi_app", {"kind": "wsgi"}, label, custom_domains, requires_proxy_auth)


def web_server(
    port: int,
    *,
    startup_timeout: float = 5.0,
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Callable[P, R]], Method[..., R]]:
    """Forward requests to a server that the function starts; the function returns once it is started.

    The server may be of any kind, in this process or in one that it starts, and listen on any address: `0.0.0.0` and
    `127.0.0.1` are the same here. Containers on one machine do not fight for the port: each finds its own server there,
    and what that prints of its address is another one. Where Linux does not allow this (it needs 5.5, on x86-64, ARM64
    or RISC-V), a second container on one machine fails to start, and says why. In containers that are not run by root,
    programs like sudo gain no privileges.

    When the server accepts no more connections, the container finishes what it has and leaves.

    Args:
        port: Port the server listens on, 1 to 65535.
        startup_timeout: Seconds the port may take to accept connections, more than 0.
        label: Name in the URL. Default: made of the App's and the Function's names.
        custom_domains: Accepted and recorded.
        requires_proxy_auth: Refuse requests without a token.

    Raises:
        InvalidError: a number out of range, or the function is async, a generator, or has parameters.
    """
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"port must be an int from 1 to 65535, not {port!r}: write @swell.web_server(8000)")
    if not isinstance(startup_timeout, (int, float)) or startup_timeout <= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"startup_timeout must be more than 0 seconds, not {startup_timeout!r}")
    values = {"kind": "server", "port": port, "startup_timeout_s": float(startup_timeout)}
    return _web("web_server", values, label, custom_domains, requires_proxy_auth)


def web_endpoint(*_args: object, **_options: object) -> Callable[[Callable[P, R]], Method[..., R]]:
    """Removed: use `fastapi_endpoint`.

    Raises:
        DeprecationError: always.
    """
    raise DeprecationError("swell.web_endpoint is now called swell.fastapi_endpoint; its options are the same")


def _web(
    name: str,
    values: dict[str, Any],
    label: str | None,
    custom_domains: Sequence[str] | None,
    requires_proxy_auth: bool,
) -> Callable[[Callable[P, R]], Method[..., R]]:
    if isinstance(custom_domains, str):
        raise AssertionError(f"custom_domains must be a list of str, not the str {custom_domains!r}")
    values = {**values, "label": label, "requires_proxy_auth": requires_proxy_auth}
    if custom_domains:
        values["custom_domains"] = list(custom_domains)

    def decorate(f: Callable[P, R]) -> Method[..., R]:
        marked = mark(f, "web", values, name=name)
        _check_shape(marked, name, takes_arguments=values["kind"] == "endpoint")
        return cast("Method[..., R]", marked)

    return decorate


def _check_shape(function: Callable[..., Any], name: str, *, takes_arguments: bool) -> None:
    qualname = getattr(function, "__qualname__", repr(function))
    if is_generator(function):
        raise InvalidError(f"@swell.{name}: {qualname} cannot be a generator; return a StreamingResponse instead")
    if takes_arguments:
        return
    if is_async(function):
        raise InvalidError(f"@swell.{name}: {qualname} cannot be an async function; it only builds or starts the app")
    from inspect import signature

    parameters = list(signature(function).parameters)[1 if is_method(function) else 0 :]
    if parameters:
        raise InvalidError(f"@swell.{name}: {qualname} can't have parameters, and has {', '.join(parameters)}")
