"""An App: the named set of Functions and classes that one program declares.

Holds declarations; running them is done elsewhere. This module must not know how an option is checked or
what a server is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from swell.errors import InvalidError
from swell.names import check_tags
from swell.sdk.cls import Cls, install_methods
from swell.sdk.declare.container_env import surroundings
from swell.sdk.declare.function_spec import class_spec, function_spec
from swell.sdk.declare.image import Image
from swell.sdk.declare.options import ClassOptions, FunctionOptions
from swell.sdk.entrypoint import LocalEntrypoint
from swell.sdk.function import Function

if TYPE_CHECKING:
    from swell.sdk.connection.client import Client
    from swell.sdk.connection.session import Session
    from swell.sdk.connection.sync_async import Dual
    from swell.sdk.declare.method import Method
    from swell.sdk.declare.secret import Secret
    from swell.sdk.declare.volume import Volume
    from swell.sdk.deploy.running import RunContext
    from swell.wire.apps import AppFound

__all__ = ["App"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class FunctionDecorator(Protocol):
    """Makes a function, async or not, a `Function` with the same arguments and result."""

    @overload
    def __call__(self, f: Method[P, R], /) -> Function[P, R]: ...
    @overload
    def __call__(self, f: Callable[P, Coroutine[Any, Any, R]], /) -> Function[P, R]: ...
    @overload
    def __call__(self, f: Callable[P, R], /) -> Function[P, R]: ...


class App:
    """A named set of Functions and classes.

    Args:
        name: Its name, by which runs are shown.
        tags: Labels, from str to str.
        image: Image of all functions that name none.
        secrets: Secrets of all functions, before their own.
        volumes: Volumes of all functions, by path; a function's own win.
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
        self._name = name
        self._description: str | None = None
        self._tags = check_tags(tags or {})
        self._defaults = surroundings(image=image, secrets=secrets, volumes=volumes)
        self._functions: dict[str, Function[..., Any]] = {}
        self._classes: dict[str, Cls[Any]] = {}
        self._entrypoints: dict[str, LocalEntrypoint[..., Any]] = {}
        self.include_source: Final = include_source
        #: Id of the run, kept after its end; set by what runs the App.
        self.app_id: str | None = None
        self.home: Client | None = None  #: reaches the server that has it deployed; None: the one that stays
        self._session: Session | None = None
        self._included_in: list[App] = []

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> str | None:
        """The name it was given."""
        return self._name

    @property
    def description(self) -> str:
        """Its name, or else what it was last run as, or else the name of the running script."""
        script = getattr(sys.modules.get("__main__"), "__file__", None) or "app"
        return self._name or self._description or script.rpartition("/")[2].removesuffix(".py")

    def set_description(self, description: str) -> None:
        """Set how an App without a name is shown."""
        self._description = description

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._tags)

    @property
    def image(self) -> Image | None:
        """Image of all functions declared from now on that name none."""
        return self._defaults.image

    @image.setter
    def image(self, image: Image | None) -> None:
        self._defaults = self._defaults._replace(image=surroundings(image=image).image)

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

    @property
    def session(self) -> Session | None:
        """The run it is in now, its own or that of an App that includes it; set by what runs the App."""
        return self._session or next((app.session for app in self._included_in if app.session is not None), None)

    @session.setter
    def session(self, session: Session | None) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<App {self.description}>"

    # ------------------------------------------------------------ declarations

    def function(self, _parentheses: None = None, **options: Unpack[FunctionOptions]) -> FunctionDecorator:
        """Make a function remote: it gets a pool of containers that grows and shrinks with the calls.

        Args:
            **options: See `swell.sdk.declare.options.FunctionOptions`. The main ones: `min_containers`,
                `max_containers`, `buffer_containers`, `scaledown_window` (seconds), `timeout` (seconds, default 300),
                `retries`, `cpu` (cores), `memory` (MiB), `gpu`, `name`, `serialized`, `single_use_containers`.

        Returns:
            A decorator that turns the function into a `Function`.

        Raises:
            InvalidError: an option, or the function, is not as it must be; the message says what to change.
            TypeError: an option does not exist.
        """
        _check_parentheses(_parentheses, "function")

        def decorate(f: Callable[..., Any]) -> Function[..., Any]:
            function = Function[..., Any](self, function_spec(f, options, self._defaults), f)
            self._add(self._functions, function.spec.name, function)
            return function

        return cast("FunctionDecorator", decorate)

    def cls(self, _parentheses: None = None, **options: Unpack[ClassOptions]) -> Callable[[type[T]], Cls[T]]:
        """Make a class remote: its methods under `@swell.method()` share a pool, one for each set of parameters.

        Args:
            **options: Those of `function` except `name`, `is_generator` and `schedule`.

        Returns:
            A decorator that turns the class into a `Cls`.

        Raises:
            InvalidError: an option, the class or a method is not as it must be; the message says what to change.
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
        """Make a function what `swell run` calls, on this machine, while the App runs.

        Args:
            name: Its name on the command line; default: that of the function.

        Raises:
            InvalidError: an entrypoint of that name is there already.
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
        """Take over the Functions, classes and tags of another App; local entrypoints stay where they are.

        Args:
            other_app: Whose declarations to take. A name that is here already gives a warning, and the newcomer wins.
            inherit_tags: Take its tags, too; tags of this App win.

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

    # ------------------------------------------------------------ running

    def run(
        self,
        *,
        name: str | None = None,
        client: Client | None = None,
        detach: bool = False,
        interactive: bool = False,
        environment_name: str | None = None,
    ) -> RunContext:
        """Run the App while a `with` block, or `async with` block, lasts.

        Args:
            name: What to show the run as.
            client: Accepted for compatibility.
            detach: Let the App go on when this process leaves.
            interactive: Allow interactive sessions; needs enabled output.
            environment_name: Accepted for compatibility.

        Raises:
            InvalidError: the App is running already, or a container imports this module.

        Example:
            `with app.run(): print(square.remote(7))`
        """
        from swell.sdk.deploy.running import run_app

        return run_app(self, name=name, detach=detach, interactive=interactive)

    @property
    def deploy(self) -> DeployForm:
        """Make the App as it is now the live version of its name on the server that stays; returns the App.

        Its source files are taken along, so that editing them later changes nothing. Deploying again without a change
        makes no version; settings changed at run time return to those declared in any case. `app_id`, and the ids of
        functions that both versions have, stay.

        Args:
            name: Name to deploy it under; default: its own.
            environment_name: Accepted for compatibility.
            tag: A label of the version, at most 50 characters.
            client: How to reach the server; default: the one that stays, on this machine.
            strategy: "rolling": containers of the former version take inputs until replacements are ready, then finish
                what they have. "recreate": they are interrupted at once, and what they ran is run again by new ones.

        Raises:
            InvalidError: it has no name, an argument or a function is not as it must be.
            ConnectionError: no server that stays runs; `swell start` starts one.
        """
        return DeployForm(self)

    lookup: ClassVar[LookupForm]  # below

    @property
    def set_tags(self) -> Dual[[Mapping[str, str]], None]:
        """Replace the tags of a deployed App.

        Raises:
            InvalidError: it has no id, because it was neither deployed nor looked up; or a tag is not as it must be.
        """
        from swell.sdk.deploy.deployed import set_tags

        return set_tags(self)

    @property
    def get_tags(self) -> Dual[[], dict[str, str]]:
        """Return the tags of a deployed App.

        Raises:
            InvalidError: it has no id, because it was neither deployed nor looked up.
        """
        from swell.sdk.deploy.deployed import get_tags

        return get_tags(self)


class DeployForm:
    """`App.deploy`: `app.deploy()`, or `await app.deploy.aio()`."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        tag: str = "",
        client: Client | None = None,
        strategy: str = "rolling",
    ) -> App:
        """Deploy, blocking the thread."""
        from swell.sdk.deploy.deployed import deploy

        return deploy(self._app, client)(name=name, tag=tag, strategy=strategy)

    async def aio(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        tag: str = "",
        client: Client | None = None,
        strategy: str = "rolling",
    ) -> App:
        """Deploy without blocking the event loop."""
        from swell.sdk.deploy.deployed import deploy

        return await deploy(self._app, client).aio(name=name, tag=tag, strategy=strategy)


class LookupForm:
    """`App.lookup`: a handle of a deployed App, without its functions; see `Function.from_name` for those.

    Args:
        name: Its name.
        client: How to reach the server; default: the one that stays, on this machine.
        environment_name: Accepted for compatibility.
        create_if_missing: Make an empty App of that name if there is none.

    Raises:
        NotFoundError: no App of that name is deployed.
        InvalidError: that is no name of an App.
    """

    def __call__(
        self,
        name: str,
        *,
        client: Client | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> App:
        """Look up, blocking the thread."""
        from swell.sdk.deploy.deployed import find

        return _found(find(name, client, create_if_missing=create_if_missing)(), client)

    async def aio(
        self,
        name: str,
        *,
        client: Client | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> App:
        """Look up without blocking the event loop."""
        from swell.sdk.deploy.deployed import find

        return _found(await find(name, client, create_if_missing=create_if_missing).aio(), client)


App.lookup = LookupForm()


def _found(found: AppFound, client: Client | None) -> App:
    app = App(found.name, tags=found.tags)
    app.app_id, app.home = found.app_id, client
    return app


def _check_parentheses(value: object, name: str) -> None:
    if value is not None:
        raise InvalidError(
            f"@app.{name} takes keyword arguments only and needs its parentheses: write @app.{name}(), "
            "with the options you want inside"
        )


def _is_interactive() -> bool:
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None
