"""The handle of a Function: everything a user can do with it, each in a blocking and an `.aio` form.

A handle is lazy: it learns its id when it is first used. This module must not know how decorators build specs, nor how
a call travels.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, Unpack, cast

from swell.errors import ExecutionError, InvalidError
from swell.model import FunctionSpec, MethodSpec
from swell.sdk import invoke
from swell.sdk.call import FunctionCall
from swell.sdk.client import Client, client_from_settings
from swell.sdk.dual import Dual, DualIterator
from swell.sdk.inputs import Source, starred, zipped
from swell.sdk.link import Link
from swell.sdk.mapping import map_chunks
from swell.sdk.notices import show_notices
from swell.sdk.options import VariantOptions, check_at_load, with_batching, with_concurrency, with_options
from swell.sdk.results import MapForm
from swell.sdk.session import Session, current_client, require_running
from swell.sdk.target import Target
from swell.wire.context import function_id_here, is_local
from swell.wire.messages import BindFunction, Bound, GetStats, Stats
from swell.wire.variant import changes_between

if TYPE_CHECKING:
    from swell.sdk.app import App
    from swell.sdk.autoscaler import Autoscaler, FunctionStats

__all__ = ["Function"]

P = ParamSpec("P")
R = TypeVar("R")

VARIANTS_KEPT: Final = 32  #: variants whose ids a Function remembers; others are asked for again


class Function(Generic[P, R]):
    """A function that runs in containers; made by `@app.function()`. Not callable itself: say `.remote` or `.local`.

    Attributes:
        app: The App it is registered in; None for a handle that came out of a pickle.
        spec: What it is, as declared.
    """

    def __init__(
        self,
        app: App | None,
        spec: FunctionSpec,
        raw: Callable[..., Any] | None,
        *,
        method: str = "",
        pool_spec: Callable[[], FunctionSpec] | None = None,
        base: Function[..., Any] | None = None,
        function_id: str = "",
    ) -> None:
        """Make a handle; users get theirs from decorators.

        Args:
            app: the App it belongs to.
            spec: what it is.
            raw: the user's callable; None where it is not known.
            method: name of the method, for a method of a class.
            pool_spec: gives the spec of the pool of an instance whose method it is; called when it is first used.
            base: the Function it is a variant of.
            function_id: id of its pool, where that is known already.
        """
        self.app = app
        self.spec = spec
        self._raw = raw
        self._method = method
        self._pool_spec = pool_spec
        self._base = base
        self._fixed_id = function_id
        self._bound = ("", "")  # id of the base, id of this variant
        self._variants: dict[tuple[str, bytes], str] = {}  # ids of variants by id of this base and what they change

    @property
    def __swell_raw__(self) -> Any:
        return self._raw

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> str:
        """Its name, for people: "square", or "Model.predict"."""
        return f"{self.spec.name.removesuffix('.*')}.{self._method}" if self._method else self.spec.name

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

    @property
    def is_hydrated(self) -> bool:
        """True if its id is known: its App runs, or this is a container of that App."""
        return bool(self._find_id())

    @property
    def object_id(self) -> str:
        """Its id on the server. Raises AttributeError while its App does not run."""
        found = self._find_id()
        if not found:
            raise AttributeError(f"{self.name} has no object_id: it has not been hydrated, its App is not running")
        return found

    def get_raw_f(self) -> Callable[P, R]:
        """Return the user's function.

        Raises:
            ExecutionError: this handle came from elsewhere, without the function.
        """
        if self._raw is None:
            raise ExecutionError(f"the code of {self.name} is not known here; only calls with .remote() are possible")
        return self._raw

    if not TYPE_CHECKING:  # a type checker is to refuse the call

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Refuse: where it is to run must be said."""
            name = self.name
            raise TypeError(f"{name} is not callable: use {name}.remote(…), or {name}.local(…) to run it here")

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_hydrated:
            raise InvalidError(
                f"{self.name} hasn't been hydrated, so it cannot be sent anywhere: its App is not running"
            )
        return _unpickled, (self.object_id, (self._base or self).spec, self._own_spec(), self._method)

    # ------------------------------------------------------------ calling

    @property
    def remote(self) -> Dual[P, R]:
        """Run it in a container and return the result, or raise what it raised.

        Raises:
            InvalidError: it is a generator (use `remote_gen`) or a web function.
            ResourceExhausted: too many inputs wait already.
            FunctionTimeoutError: it ran longer than its `timeout`.
            RemoteError: it was cancelled, or no container could be started.
        """
        return cast("Dual[P, R]", Dual(self._remote, self._client, f"{self.name}.remote"))

    async def _remote(self, link: Link, /, *args: Any, **kwargs: Any) -> Any:
        self._refuse_web("remote")
        if self.is_generator:
            raise InvalidError(f"{self.name} is a generator function: iterate over {self.name}.remote_gen(…) instead")
        return await invoke.remote(link, await self._target(link), args, kwargs)

    @property
    def remote_gen(self) -> DualIterator[P, Any]:
        """Run it in a container and iterate over what it yields, as it is yielded.

        Raises:
            InvalidError: it is not a generator function.
        """
        self._refuse_web("remote_gen")
        if not self.is_generator:
            raise InvalidError(
                f"{self.name} is not a generator function: use {self.name}.remote(…), not .remote_gen(…)"
            )
        return DualIterator(self._items, self._client, f"{self.name}.remote_gen")

    async def _items(self, link: Link, /, *args: Any, **kwargs: Any) -> AsyncGenerator[list[Any], None]:
        chunks = invoke.remote_items(link, await self._target(link), args, kwargs)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here, in this process: a plain call, a coroutine for an async function. No option applies.

        Raises:
            ExecutionError: the handle came from elsewhere, without the function.
        """
        if self.spec.recorded.get("volumes"):
            import warnings

            warnings.warn(f"{self.name} mounts volumes, which are not there in a local call", UserWarning, stacklevel=2)
        return self.get_raw_f()(*args, **kwargs)

    @property
    def spawn(self) -> Dual[P, FunctionCall[R]]:
        """Start it and return at once, with a FunctionCall to get the result from later.

        Raises:
            InvalidError: it is a generator or a web function.
            ResourceExhausted: too many inputs wait already.
        """
        return cast("Dual[P, FunctionCall[R]]", Dual(self._spawn, self._client, f"{self.name}.spawn"))

    async def _spawn(self, link: Link, /, *args: Any, **kwargs: Any) -> FunctionCall[R]:
        self._check_many("spawn")
        call_id = await invoke.spawn(link, await self._target(link), args, kwargs)
        return FunctionCall(call_id, 1, self._client())

    # ------------------------------------------------------------ calling with many inputs

    @property
    def map(self) -> MapForm[R]:
        """Run it for each item, or for each tuple of items of several iterables, and iterate over the results.

        Results come in the order of the inputs, or as they are ready with `order_outputs=False`. The first failure
        raises, unless `return_exceptions=True` puts it in its place. `kwargs` are constant arguments. At most 1,000
        inputs are on their way at a time, so iterables may be endless.

        Example:
            `for y in square.map(range(10_000)): …`
        """
        return MapForm(self._chunks, self._client, f"{self.name}.map", zipped)

    @property
    def starmap(self) -> MapForm[R]:
        """As `map`, for one iterable whose items are sequences of arguments."""
        return MapForm(self._chunks, self._client, f"{self.name}.starmap", starred)

    @property
    def for_each(self):
        """Run it for each item and drop the results; `ignore_exceptions=True` ignores failures, too."""
        return Dual(self._for_each, self._client, f"{self.name}.for_each", refuse=True)

    async def _for_each(
        self, link: Link, *input_iterators: Any, kwargs: dict[str, Any] | None = None, ignore_exceptions: bool = False
    ) -> None:
        source = zipped(input_iterators, f"{self.name}.for_each")
        results = self._chunks(link, source, kwargs or {}, order_outputs=False, return_exceptions=ignore_exceptions)
        async with aclosing(results):
            async for _ in results:
                pass

    @property
    def spawn_map(self):
        """Start it for each item and return, once all are accepted, one FunctionCall for all the results."""
        return Dual(self._spawn_map, self._client, f"{self.name}.spawn_map", refuse=True)

    experimental_spawn_map = spawn_map

    async def _spawn_map(
        self, link: Link, *input_iterators: Any, kwargs: dict[str, Any] | None = None
    ) -> FunctionCall[R]:
        self._check_many("spawn_map")
        source = zipped(input_iterators, f"{self.name}.spawn_map")
        call_id, count = await invoke.spawn_many(link, await self._target(link), source, kwargs or {})
        return FunctionCall(call_id, count, self._client())

    async def _chunks(
        self,
        link: Link,
        source: Source,
        kwargs: dict[str, Any],
        *,
        order_outputs: bool,
        return_exceptions: bool,
    ) -> AsyncGenerator[list[Any], None]:
        self._check_many("map")
        chunks = map_chunks(
            link,
            await self._target(link),
            source,
            kwargs=kwargs,
            order_outputs=order_outputs,
            return_exceptions=return_exceptions,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    # ------------------------------------------------------------ the pool

    @property
    def get_current_stats(self) -> Dual[[], FunctionStats]:
        """Return the numbers of its pool at this moment."""
        return Dual(self._stats, self._client, f"{self.name}.get_current_stats")

    async def _stats(self, link: Link) -> FunctionStats:
        target, request = await self._target(link), link.next_request()
        stats, _ = await link.request(request, GetStats(request, target.function_id))
        assert isinstance(stats, Stats)
        from swell.sdk.autoscaler import FunctionStats  # seldom needed, and dataclasses are slow to import

        return FunctionStats(stats.backlog, stats.total_containers, stats.running_inputs, stats.input_headroom)

    @property
    def autoscaler(self) -> Autoscaler:
        """Its autoscaler's settings: `autoscaler.update(…)`, `autoscaler.settings()`.

        Raises:
            InvalidError: it is a method; all methods of an instance share one pool.
        """
        if self._method:
            raise InvalidError(
                f"{self.name} is a method and has no pool of its own: use update_autoscaler() of the instance"
            )
        from swell.sdk.autoscaler import Autoscaler

        return Autoscaler(self._target, self._client, self.name)

    @property
    def update_autoscaler(self):
        """Change autoscaler settings while it runs; what is not given, or None, is kept. Returns those in force.

        Raises:
            InvalidError: the settings contradict each other; nothing is changed.
        """
        scaler = self.autoscaler
        return Dual(scaler.change_given, self._client, f"{self.name}.update_autoscaler")

    # ------------------------------------------------------------ variants

    def with_options(self, **options: Unpack[VariantOptions]) -> Function[P, R]:
        """Return a variant with other options, which has a pool of its own."""
        return self.variant(with_options(self.spec, options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Function[P, R]:
        """Return a variant with other concurrency; see `swell.concurrent`."""
        return self.variant(with_concurrency(self.spec, max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Function[P, R]:
        """Return a variant with other batching; see `swell.batched`."""
        return self.variant(with_batching(self.spec, max_batch_size, wait_ms))

    def variant(self, spec: FunctionSpec) -> Function[P, R]:
        """Return a handle for the same code under another spec."""
        base = self._base or self
        return Function[P, R](self.app, spec, self._raw, method=self._method, base=base, function_id=base._fixed_id)

    def of_instance(
        self, method: str, raw: Callable[..., Any] | None, pool_spec: Callable[[], FunctionSpec], own_id: str = ""
    ) -> Function[..., Any]:
        """Return the handle of a method of one instance of this class; without a name, that of the instance's pool.

        Args:
            method: its name.
            raw: what `.local` calls.
            pool_spec: gives the spec of the instance's pool; called when it is first used.
            own_id: id of the pool, for an instance that knows it.
        """
        if own_id:
            return Function[..., Any](self.app, self.spec, raw, method=method, function_id=own_id)
        base, known = self._base or self, self._fixed_id
        return Function[..., Any](
            self.app, self.spec, raw, method=method, pool_spec=pool_spec, base=base, function_id=known
        )

    # ------------------------------------------------------------ finding the server

    def _session(self) -> Session | None:
        return self.app.session if self.app is not None else None

    def _client(self) -> Client:
        session = self._session()
        if session is not None:
            return session.client
        if not is_local():
            return client_from_settings()
        if self._fixed_id:
            return current_client()
        raise require_running(self.name)

    def _find_id(self) -> str:
        if self._fixed_id:
            return self._fixed_id
        session = self._session()
        if session is not None:
            return session.function_ids.get(self.spec.name, "")
        return function_id_here(self.spec.name) or ""

    async def _target(self, link: Link) -> Target:
        function_id = self._find_id()
        if not function_id:
            raise require_running(self.name)
        spec = self._own_spec()
        if spec is not (self._base or self).spec:
            function_id = await self._bind(link, function_id, spec)
        return Target(function_id, self.name, self._method)

    def _own_spec(self) -> FunctionSpec:
        return self.spec if self._pool_spec is None else self._pool_spec()

    async def _bind(self, link: Link, base_id: str, spec: FunctionSpec) -> str:
        if self._bound[0] == base_id:
            return self._bound[1]
        base = self._base or self
        variants, changes = base._variants, changes_between(base.spec, spec)
        key = (base_id, changes)
        known = variants.get(key)
        if known is None:
            check_at_load(spec)
            request = link.next_request()
            bound, _ = await link.request(request, BindFunction(request, base_id, changes))
            assert isinstance(bound, Bound)
            show_notices(link)
            if len(variants) >= VARIANTS_KEPT:
                del variants[next(iter(variants))]
            known = variants[key] = bound.function_id
        self._bound = (base_id, known)
        return known

    # ------------------------------------------------------------ checks

    def _method_spec(self) -> MethodSpec | None:
        if not self._method or self.spec.cls is None:
            return None
        return next((method for method in self.spec.cls.methods if method.name == self._method), None)

    def _refuse_web(self, how: str) -> None:
        if self.is_web:
            raise InvalidError(f"{self.name} is a webhook: .{how}() is not possible, send it HTTP requests instead")

    def _check_many(self, how: str) -> None:
        self._refuse_web(how)
        if self.is_generator:
            raise InvalidError(f"{self.name} is a generator function: .{how}() is not possible, use .remote_gen(…)")


def _unpickled(function_id: str, base: FunctionSpec, spec: FunctionSpec, method: str) -> Function[..., Any]:
    known = Function[..., Any](None, base, None, function_id=function_id)
    if spec == base and not method:
        return known
    spec = base if spec == base else spec
    return Function[..., Any](None, spec, None, method=method, base=known, function_id=function_id)
