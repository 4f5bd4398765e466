"""An App: the named set of Functions and classes that one program declares.

Here are its declarations; `deployable` runs and deploys them. This module must not know how an option is checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from swell.errors import InvalidError
from swell.ids import APP
from swell.names import check_object_name
from swell.sdk.cls import Cls, install_methods
from swell.sdk.connection.client import Client, client_or_daemon, mint_id
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import Prepared, SyncAsync
from swell.sdk.declare.container_env import parse_container_env
from swell.sdk.declare.function_spec import class_spec, function_spec
from swell.sdk.declare.image import Image
from swell.sdk.declare.options import ClassOptions, FunctionOptions
from swell.sdk.deployable import DeployableApp
from swell.sdk.entrypoint import LocalEntrypoint
from swell.sdk.function import Function
from swell.wire.apps import AppFound, FindApp

if TYPE_CHECKING:
    from swell.sdk.declare.secret import Secret
    from swell.sdk.declare.volume import Volume
    from swell.sdk.deploy.specs import AppSpec
    from swell.sdk.method import Method

__all__ = ["App"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class FunctionDecorator(Protocol):
    """Turns a function, async or not, into a `Function` with the same arguments and result."""

    @overload
    def __call__(self, f: Method[P, R], /) -> Function[P, R]: ...
    @overload
    def __call__(self, f: Callable[P, Coroutine[Any, Any, R]], /) -> Function[P, R]: ...
    @overload
    def __call__(self, f: Callable[P, R], /) -> Function[P, R]: ...


class App(DeployableApp):
    """A named set of Functions and classes.

    Args:
        name: Its name, under which runs are shown.
        tags: Labels, from str to str.
        image: Image of all functions without their own.
        secrets: Secrets of all functions, before their own.
        volumes: Volumes of all functions, by path; a function's own replace them.
        include_source: Accepted and recorded.

    Raises:
        InvalidError: an argument has the wrong type.

    Example:
        ```python
        app = swell.App("squares")


        @app.function()
        def square(x: int) -> int:
            return x * x


        @app.local_entrypoint()
        def main() -> None:
            print(sum(square.map(range(1000))))
        ```
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        image: Image | None = None,
        secrets: Sequence[Secret] = (),
        volumes: Mapping[str, Volume] | None = None,
        include_source: bool = True,
    ) -> None:
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"Invalid App name: Must be string, not {name!r}")
        super().__init__(name, tags or {})
        self._defaults = parse_container_env(image=image, secrets=secrets, volumes=volumes)
        self._functions: dict[str, Function[..., Any]] = {}
        self._classes: dict[str, Cls[Any]] = {}
        self._entrypoints: dict[str, LocalEntrypoint[..., Any]] = {}
        self.include_source: Final = include_source

    # ------------------------------------------------------------ what it declares

    @property
    def image(self) -> Image | None:
        """Image of all functions that are declared from now on without their own."""
        return self._defaults.image

    @image.setter
    def image(self, image: Image | None) -> None:
        self._defaults = self._defaults._replace(image=parse_container_env(image=image).image)

    @property
    def registered_functions(self) -> dict[str, Function[..., Any]]:
        """Its Functions by name."""
        return dict(self._functions)

    @property
    def registered_classes(self) -> dict[str, Cls[Any]]:
        """Its classes by name."""
        return dict(self._classes)

    @property
    def registered_entrypoints(self) -> dict[str, LocalEntrypoint[..., Any]]:
        """Its local entrypoints by name."""
        return dict(self._entrypoints)

    @property
    def registered_web_endpoints(self) -> list[str]:
        """Names of its Functions that answer HTTP, and of such methods as "Class.method"."""
        functions = [name for name, function in self._functions.items() if function.is_web]
        methods = [
            f"{name}.{method.name}"
            for name, cls in self._classes.items()
            for method in (() if cls.spec.cls is None else cls.spec.cls.methods)
            if method.web is not None
        ]
        return functions + methods

    # ------------------------------------------------------------ declarations

    def function(self, _parentheses: None = None, **options: Unpack[FunctionOptions]) -> FunctionDecorator:
        """Make a function remote: it gets a pool of containers that grows and shrinks with its calls.

        Args:
            **options: See `swell.sdk.declare.options.FunctionOptions`. The main ones: `min_containers`,
                `max_containers`, `buffer_containers`, `scaledown_window` (seconds), `timeout` (seconds, default 300),
                `retries`, `cpu` (cores), `memory` (MiB), `gpu`, `placement` ("pack" or "spread"), `name`, `serialized`,
                `single_use_containers`.

        Returns:
            A decorator that turns the function into a `Function`.

        Raises:
            InvalidError: an option, or the function, is not valid; the message says what to change.
            TypeError: an option does not exist.
        """
        _check_parentheses(_parentheses, "function")

        def decorate(f: Callable[..., Any]) -> Function[..., Any]:
            function: Function[..., Any] = Function(self, function_spec(f, options, self._defaults), f)
            self._add(self._functions, function.spec.name, function)
            return function

        return cast("FunctionDecorator", decorate)

    def cls(self, _parentheses: None = None, **options: Unpack[ClassOptions]) -> Callable[[type[T]], Cls[T]]:
        """Make a class remote: its methods under `@swell.method()` share a pool; each set of parameters has its own.

        Args:
            **options: As for `function`, except `name`, `is_generator` and `schedule`.

        Returns:
            A decorator that turns the class into a `Cls`.

        Raises:
            InvalidError: an option, the class or a method is not valid; the message says what to change.
            TypeError: an option does not exist.
        """
        _check_parentheses(_parentheses, "cls")

        def decorate(cls: type[T]) -> Cls[T]:
            service = Function[..., Any](self, class_spec(cls, options, self._defaults), cls)
            handle = Cls[T](service)
            install_methods(handle)
            self._add(self._classes, cls.__name__, handle)
            return handle

        return decorate

    def local_entrypoint(
        self, _parentheses: None = None, *, name: str | None = None
    ) -> Callable[[Callable[P, R]], LocalEntrypoint[P, R]]:
        """Make a function a local entrypoint: `swell run` calls it on this machine, while the App runs.

        Args:
            name: Its name on the command line; default: the function's.

        Raises:
            InvalidError: the App has an entrypoint of that name already.
        """
        _check_parentheses(_parentheses, "local_entrypoint")
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"name must be a str, not {name!r}")

        def decorate(f: Callable[P, R]) -> LocalEntrypoint[P, R]:
            tag = name or f.__qualname__
            if tag in self._entrypoints:
                raise InvalidError(f"Duplicate local entrypoint name: {tag}. Give one of them another name")
            entrypoint = LocalEntrypoint(self, f, tag)
            self._entrypoints[tag] = entrypoint
            return entrypoint

        return decorate

    def include(self, other_app: App, inherit_tags: bool = True) -> App:
        """Include the Functions, classes and tags of another App; its local entrypoints are not included.

        Args:
            other_app: The App to include. A name that both have gives a warning, and the included declaration wins.
            inherit_tags: Include its tags, too; tags of this App win.

        Returns:
            This App.
        """
        for name, function in other_app._functions.items():
            self._add(self._functions, name, function)
        for name, cls in other_app._classes.items():
            self._add(self._classes, name, cls)
        other_app._included_in.append(self)
        if inherit_tags:
            self._tags = {**other_app._tags, **self._tags}
        return self

    def _add(self, registry: dict[str, Any], name: str, handle: Any) -> None:
        known = registry.get(name)
        if known is not None and known is not handle and not _is_interactive():
            import logging

            logging.getLogger("swell").warning(
                "Name collision in %s: %s is registered twice, and the later one wins. Give one of them another name",
                self.description,
                name,
            )
        registry[name] = handle

    # ------------------------------------------------------------ what a server gets

    def describe(self) -> AppSpec:
        """Return what the App consists of now, for a server to run or deploy."""
        from swell.sdk.deploy.specs import AppSpec, Declared

        handles = [*self._functions.values(), *(cls.service for cls in self._classes.values())]
        declared = tuple(Declared(function.spec, function.__swell_raw__) for function in handles)
        return AppSpec(self.name, self.description, self.tags, declared)

    @staticmethod
    def _prepare_lookup(
        name: str,
        *,
        client: Client | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> SyncAsync[[], App]:
        """Return a handle of a deployed App, without its functions; see `Function.from_name` for those.

        Args:
            name: Its name.
            client: How to reach the server; default: the daemon on this machine.
            environment_name: Accepted for compatibility.
            create_if_missing: Make an empty App of that name if there is none.

        Raises:
            NotFoundError: no App of that name is deployed.
            InvalidError: the name is not allowed.
        """
        check_object_name(name, "App")

        async def implementation(link: Link) -> App:
            new_id = mint_id(APP) if create_if_missing else ""
            found = await link.ask(AppFound, lambda request: FindApp(request, name, new_id))
            app = App(found.name, tags=found.tags)
            app.app_id, app.home = found.app_id, client
            return app

        return SyncAsync(implementation, client_or_daemon(client), "App.lookup")

    lookup = Prepared(_prepare_lookup)


def _check_parentheses(value: object, name: str) -> None:
    if value is not None:
        raise InvalidError(
            f"@app.{name} takes keyword arguments only and needs its parentheses: write @app.{name}(), "
            "with the options you want inside"
        )


def _is_interactive() -> bool:
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None
