"""The URLs of an App's web functions while it runs, for the terminal.

This module must not know how an App is run, or how URLs are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import Client
from swell.sdk.web_url import web_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swell.model import WebSpec
    from swell.sdk.app import App

__all__ = ["created_line", "shown_url", "web_addresses"]


def web_addresses(app: App, client: Client, function_ids: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of every web function as it is shown, by name; "Model.site" for a method.

    Waits until the edge listens.

    Args:
        app: The App.
        client: Reaches the server it runs on.
        function_ids: By the names in the specs.

    Raises:
        Error: nothing listens for HTTP; the message tells why.
    """
    found: dict[str, str] = {}
    for name, spec_name, method, web in _web_functions(app):
        function_id = function_ids.get(spec_name)
        if function_id is None:
            continue
        url = run_blocking(web_url(client.blocking_link(), function_id, method, b"", b""))
        if url is not None:
            found[name] = shown_url(url, is_site=web.is_site)
    return found


def shown_url(url: str, *, is_site: bool) -> str:
    """Return a URL as it is shown: people open it in a browser, where relative links need the slash at its end."""
    return url + "/" if is_site else url


def created_line(name: str, url: str) -> str:
    """Return the line that tells the URL of a web function."""
    return f"Created web function {name} => {url}"


def _web_functions(app: App) -> Iterator[tuple[str, str, str, WebSpec]]:
    """Yield name, name of the spec, method, "" for a function, and how it answers."""
    for name, function in app.registered_functions.items():
        if function.spec.web is not None:
            yield name, function.spec.name, "", function.spec.web
    for name, cls in app.registered_classes.items():
        for method in () if cls.spec.cls is None else cls.spec.cls.methods:
            if method.web is not None:
                yield f"{name}.{method.name}", cls.spec.name, method.name, method.web
