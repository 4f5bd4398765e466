"""swell: run Python functions in pools of containers that swell with demand and subside to zero.

This page is the public surface. Names are loaded at first use, so that `import swell` costs nothing; nothing inside
swell may import from here, and this module must not know more than where each name lives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import swell.exception as exception
    import swell.experimental as experimental
    import swell.types as types
    from swell.errors import Error
    from swell.sdk.app import App
    from swell.sdk.call import FunctionCall
    from swell.sdk.cls import Cls, Obj
    from swell.sdk.connection.client import Client
    from swell.sdk.connection.output import enable_output
    from swell.sdk.declare.image import Image
    from swell.sdk.declare.parameters import parameter
    from swell.sdk.declare.retries import Retries
    from swell.sdk.declare.schedule import Cron, Period
    from swell.sdk.declare.secret import Secret
    from swell.sdk.declare.volume import Volume
    from swell.sdk.decorators import batched, concurrent, enter, exit, method
    from swell.sdk.function import Function
    from swell.sdk.web_decorators import asgi_app, fastapi_endpoint, web_endpoint, web_server, wsgi_app
    from swell.wire.context import current_function_call_id, current_input_id, is_local

    __version__: str

__all__ = [  # noqa: RUF022 - grouped by noun, as a table of contents
    # What a program declares
    "App",
    "Function",
    "Cls",
    "Obj",
    "parameter",
    # How its functions run
    "method",
    "enter",
    "exit",
    "concurrent",
    "batched",
    "Retries",
    # What they answer besides calls
    "asgi_app",
    "fastapi_endpoint",
    "web_endpoint",
    "web_server",
    "wsgi_app",
    "Cron",
    "Period",
    # What they need
    "Image",
    "Secret",
    "Volume",
    # While it runs
    "Client",
    "FunctionCall",
    "current_function_call_id",
    "current_input_id",
    "enable_output",
    "is_local",
    # The rest
    "Error",
    "exception",
    "experimental",
    "types",
]

_HOMES = {
    "swell.errors": ("Error",),
    "swell.sdk.app": ("App",),
    "swell.sdk.call": ("FunctionCall",),
    "swell.sdk.connection.client": ("Client",),
    "swell.sdk.cls": ("Cls", "Obj"),
    "swell.sdk.function": ("Function",),
    "swell.sdk.declare.image": ("Image",),
    "swell.sdk.decorators": ("batched", "concurrent", "enter", "exit", "method"),
    "swell.sdk.connection.output": ("enable_output",),
    "swell.sdk.declare.parameters": ("parameter",),
    "swell.sdk.declare.retries": ("Retries",),
    "swell.sdk.declare.schedule": ("Cron", "Period"),
    "swell.sdk.declare.secret": ("Secret",),
    "swell.sdk.declare.volume": ("Volume",),
    "swell.sdk.web_decorators": ("asgi_app", "fastapi_endpoint", "web_endpoint", "web_server", "wsgi_app"),
    "swell.wire.context": ("current_function_call_id", "current_input_id", "is_local"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("exception", "experimental", "types")


if not TYPE_CHECKING:  # a type checker must not think that every name is there

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name in _HOME:
            value: Any = getattr(import_module(_HOME[name]), name)
        elif name in _MODULES:
            value = import_module(f"swell.{name}")
        elif name == "__version__":
            from importlib.metadata import version

            value = version("swell")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
