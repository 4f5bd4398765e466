"""Handles: the id and the spec of a function on the server, known already or looked up when first needed.

A handle is one of four kinds: of an App of this program, with an id while the App runs; looked up by name among
deployed Apps; unpickled, with its id; or derived from one of these, as a variant or as a method of an instance. This
module must not know how a function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from swell.errors import Error, ExecutionError, InvalidError, NotFoundError
from swell.model import FunctionSpec, MethodSpec
from swell.names import shown_name
from swell.sdk.calls.target import CallTarget
from swell.sdk.connection.client import Client, client_from_settings, daemon_client
from swell.sdk.connection.link import Link
from swell.sdk.connection.notices import show_notices
from swell.sdk.connection.session import Session, current_client, not_of_this_container, require_running
from swell.sdk.declare.pool_spec import check_at_load
from swell.wire.apps import FindFunction, FunctionFound
from swell.wire.context import function_id_here, is_local
from swell.wire.messages import BindFunction, Bound
from swell.wire.variant import changes_between

if TYPE_CHECKING:
    from swell.sdk.deployable import DeployableApp

__all__ = ["Handle", "HandleOrigin", "Lookup", "check_version"]

VARIANTS_KEPT: Final = 32  #: variants whose ids a handle remembers; others are requested again

FindSpec = Callable[[], FunctionSpec]


class Lookup:
    """The name by which a handle is looked up."""

    __slots__ = ("app_name", "client", "name", "version")

    def __init__(self, app_name: str, name: str, version: int, client: Client | None) -> None:
        self.app_name = app_name
        self.name = name  #: of a function, or "Name.*" of a class
        self.version = version  #: 0: the live one
        self.client = client


class HandleOrigin(TypedDict, total=False):
    """How the function of a handle is found."""

    method: str  #: name of the method, for a method of a class
    find_spec: FindSpec  #: returns its spec, once its base is hydrated
    pool_spec: FindSpec  #: returns the spec of its instance's pool; called at first use
    base: Handle  #: the handle of which it is a variant or a method
    function_id: str  #: of its pool, if that is known
    lookup: Lookup  #: the name by which it is looked up


def check_version(version: object) -> int:
    """Return a version number as requests carry it; 0 for None, the live version.

    Raises:
        InvalidError: it is not a version number.
    """
    if version is None:
        return 0
    if type(version) is not int or version < 1:
        raise InvalidError(
            f"version = {version!r} must be the number of a version, at least 1; `swell app history` lists them"
        )
    return version


class Handle:
    """The id and the spec of a Function or one of its variants."""

    def __init__(self, app: DeployableApp | None, spec: FunctionSpec | None, **origin: Unpack[HandleOrigin]) -> None:
        """Make a handle.

        Args:
            app: the App that it belongs to.
            spec: its spec; None if it must be looked up.
            **origin: how it is found.
        """
        self.app = app
        self._spec = spec
        self._method = origin.get("method", "")
        self._find_spec = origin.get("find_spec")
        self._instance_spec = origin.get("pool_spec")
        self._base = origin.get("base")
        self._fixed_id = origin.get("function_id", "")
        self._lookup = origin.get("lookup")
        self._known: tuple[str, CallTarget] | None = None  # id of the base, and what follows from it
        self._variants: dict[tuple[str, bytes], str] = {}  # ids of variants, by the id of this base and their changes

    # ------------------------------------------------------------ what it is

    @property
    def spec(self) -> FunctionSpec:
        """Its spec. A handle that is looked up by name has it once it is hydrated.

        Raises:
            ExecutionError: it is not hydrated yet.
        """
        if self._spec is None:
            if self._find_spec is None:
                raise self._not_hydrated()
            self._spec = self._find_spec()
        return self._spec

    @property
    def is_known(self) -> bool:
        """True if `spec` is known without a request to the server."""
        return self._spec is not None or (self._base is not None and self._base.is_known)

    @property
    def name(self) -> str:
        """Its name, for messages: "square", or "Model.predict"."""
        owner = shown_name(self._owner)
        return f"{owner}.{self._method}" if self._method else owner

    @property
    def _owner(self) -> str:
        if self._spec is not None:
            return self._spec.name
        return self._base._owner if self._base is not None else self._lookup.name if self._lookup is not None else ""

    @property
    def is_generator(self) -> bool:
        """True if it yields values."""
        method = self._method_spec()
        return method.is_generator if method is not None else self.spec.is_generator

    @property
    def is_web(self) -> bool:
        """True if it answers HTTP instead of calls."""
        method = self._method_spec()
        return (self.spec.web if method is None else method.web) is not None

    def _method_spec(self) -> MethodSpec | None:
        if not self._method or self.spec.cls is None:
            return None
        return next((method for method in self.spec.cls.methods if method.name == self._method), None)

    @property
    def is_hydrated(self) -> bool:
        """True if its id is known: its App runs, it was looked up, or this is a container of its App."""
        return bool(self._find_id())

    @property
    def object_id(self) -> str:
        """Its id on the server. Raises AttributeError while it is not hydrated."""
        found = self._find_id()
        if not found:
            raise AttributeError(f"{self.name} has no object_id: {self._not_here()}")
        return found

    # ------------------------------------------------------------ finding the server

    @property
    def _root(self) -> Handle:
        return self._base or self

    def _session(self) -> Session | None:
        return self.app.session if self.app is not None else None

    def _client(self) -> Client:
        session = self._session()
        if session is not None:
            return session.client
        if not is_local():
            return client_from_settings()
        lookup = self._root._lookup
        if lookup is not None:
            return lookup.client or daemon_client()
        if self._fixed_id or self._root._fixed_id:
            return current_client()
        raise require_running(self.name)

    def _find_id(self) -> str:
        known = self._fixed_id or self._root._fixed_id
        if known or self._root._lookup is not None:
            return known
        session = self._session()
        if session is not None:
            return session.function_ids.get(self.spec.name, "")
        return function_id_here(self.spec.name) or ""

    def _not_here(self) -> Error:
        """Return the error for a request while its id is not known: its App does not run, or runs without it."""
        if self._root._lookup is not None:
            return self._not_hydrated()
        session = self._session()
        if session is None:
            return require_running(self.name) if is_local() else not_of_this_container(self.name)
        return session.why_not(self.spec.name) or require_running(self.name)

    def _not_hydrated(self) -> Error:
        return ExecutionError(f"{self.name} has not been hydrated: call it, or .hydrate(), first")

    async def _find(self, link: Link) -> None:
        """Look it up by its name, if it has one and was not looked up."""
        root = self._root
        lookup = root._lookup
        if lookup is None or root._fixed_id:
            return
        found = await link.ask(
            FunctionFound, lambda request: FindFunction(request, lookup.app_name, lookup.name, lookup.version)
        )
        root._spec, root._fixed_id = found.spec, found.function_id

    def _known_target(self) -> CallTarget | None:
        """Return the target of its calls if no request is needed to know it."""
        known = self._known
        return known[1] if known is not None and known[0] == self._find_id() else None

    async def _target(self, link: Link) -> CallTarget:
        target = self._known_target()
        if target is None:
            await self._find(link)
            base_id = self._find_id()
            if not base_id:
                raise self._not_here()
            target = await self._find_target(link, base_id)
            self._known = (base_id, target)
        return target

    async def _find_target(self, link: Link, base_id: str) -> CallTarget:
        if self._method and self._method_spec() is None:
            known = ", ".join(method.name for method in self.spec.cls.methods) if self.spec.cls else ""
            owner = self.name.rpartition(".")[0]
            raise NotFoundError(f"{owner} has no method {self._method!r}; it has {known or 'none'}")
        spec = self._pool_spec()
        function_id = base_id if spec is self._root.spec else await self._bind(link, base_id, spec)
        return CallTarget(function_id, self.name, self._method, not self.is_web and not self.is_generator)

    def _pool_spec(self) -> FunctionSpec:
        """Return the spec of the pool that its calls go to."""
        return self.spec if self._instance_spec is None else self._instance_spec()

    async def _bind(self, link: Link, base_id: str, spec: FunctionSpec) -> str:
        root = self._root
        variants, changes = root._variants, changes_between(root.spec, spec)
        key = (base_id, changes)
        known = variants.get(key)
        if known is None:
            check_at_load(spec)
            bound = await link.ask(Bound, lambda request: BindFunction(request, base_id, changes))
            show_notices(link)
            if len(variants) >= VARIANTS_KEPT:
                del variants[next(iter(variants))]
            known = variants[key] = bound.function_id
        return known
