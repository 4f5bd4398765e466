"""The handle of a Function: its methods for users, each in a blocking and an `.aio` form.

A handle is lazy: it finds its id when it is first used. This module must not know how decorators build specs, nor how a
call is sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, Unpack, cast

from swell.errors import ExecutionError, InvalidError
from swell.model import FunctionSpec
from swell.model import Source as CodeSource
from swell.sdk.call import FunctionCall
from swell.sdk.calls import invoke
from swell.sdk.calls.inputs import Source, starred, zipped
from swell.sdk.calls.mapping import map_chunks
from swell.sdk.calls.results import MapForm
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link
from swell.sdk.connection.retrying import Retrying, RetryState
from swell.sdk.connection.sync_async import SyncAsync, SyncAsyncIterator
from swell.sdk.declare.options import VariantOptions
from swell.sdk.declare.variants import with_batching, with_concurrency, with_options
from swell.sdk.handle import Handle, HandleOrigin, Lookup, check_version
from swell.sdk.web_url import web_url
from swell.wire.messages import GetStats, Stats

if TYPE_CHECKING:
    from swell.sdk.autoscaler import Autoscaler, FunctionStats
    from swell.sdk.deployable import DeployableApp

__all__ = ["Function"]

P = ParamSpec("P")
R = TypeVar("R")

#: The spec of a function that has not been looked up, to check options against.
NOT_KNOWN_YET: Final = FunctionSpec("", CodeSource("", ""))


class Function(Handle, Generic[P, R]):
    """A function that runs in containers; made by `@app.function()`. Not callable itself: use `.remote` or `.local`.

    Attributes:
        app: The App in which it is registered; None for a handle from a pickle, or one that was looked up.
    """

    def __init__(
        self,
        app: DeployableApp | None,
        spec: FunctionSpec | None,
        raw: Callable[..., Any] | None,
        **origin: Unpack[HandleOrigin],
    ) -> None:
        """Make a handle; users get handles from decorators, or from `from_name`.

        Args:
            app: the App that it belongs to.
            spec: its spec; None if it must be looked up.
            raw: the user's callable; None if it is not known here.
            **origin: how it is found; see `HandleOrigin`.
        """
        super().__init__(app, spec, **origin)
        self._raw = raw

    @classmethod
    def from_name(
        cls,
        app_name: str,
        name: str,
        *,
        version: int | None = None,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> Function[..., Any]:
        """Return a handle of a function of a deployed App. It is looked up when it is first used.

        Args:
            app_name: Name of the App.
            name: Name of the function.
            version: Use this version of the App only, in a pool of its own; default: the live version.
            environment_name: Accepted for compatibility.
            client: How to reach the server; by default the daemon on this machine.

        Raises:
            InvalidError: the name is that of a method, or the version is not a version number.
        """
        if "." in name:
            owner, _, method = name.rpartition(".")
            raise InvalidError(f"{name!r} is a method: use Cls.from_name({app_name!r}, {owner!r})().{method}")
        lookup = Lookup(app_name, name, check_version(version), client)
        return Function[..., Any](None, None, None, lookup=lookup)

    @property
    def __swell_raw__(self) -> Any:
        return self._raw

    @property
    def hydrate(self) -> SyncAsync[[], Self]:
        """Look up its id and its spec, if they are not known; returns the handle itself.

        Raises:
            NotFoundError: no deployed App has such a function.
        """
        return SyncAsync(self._hydrate, self._client, f"{self.name}.hydrate")

    async def _hydrate(self, link: Link) -> Self:
        await self._target(link)
        return self

    def get_raw_f(self) -> Callable[P, R]:
        """Return the user's function.

        Raises:
            ExecutionError: the handle came from a pickle or a lookup, without the function.
        """
        if self._raw is None:
            raise ExecutionError(f"the code of {self.name} is not known here; only calls with .remote() are possible")
        return self._raw

    if not TYPE_CHECKING:  # a type checker is to refuse the call

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Refuse the call: users must choose where it runs."""
            name = self.name
            raise TypeError(f"{name} is not callable: use {name}.remote(…), or {name}.local(…) to run it here")

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_hydrated:
            raise InvalidError(f"{self.name} cannot be sent anywhere: {self._not_here()}")
        return _unpickled, (self.object_id, self._root.spec, self._pool_spec(), self._method)

    # ------------------------------------------------------------ calling

    @property
    def remote(self) -> SyncAsync[P, R]:
        """Run it in a container and return the result, or raise its exception.

        Raises:
            InvalidError: it is a generator (use `remote_gen`) or a web function.
            ResourceExhausted: too many inputs wait already.
            FunctionTimeoutError: it ran longer than its `timeout`.
            RemoteError: it was cancelled, or no container could be started.
        """
        return cast("SyncAsync[P, R]", SyncAsync(self._remote, self._client, f"{self.name}.remote"))

    async def _remote(self, link: Link, /, *args: Any, **kwargs: Any) -> Any:
        target = self._known_target()
        if target is None or not target.is_plain:
            await self._find(link)
            self._refuse_web("remote")
            if self.is_generator:
                raise InvalidError(
                    f"{self.name} is a generator function: iterate over {self.name}.remote_gen(…) instead"
                )
            target = await self._target(link)
        return await invoke.remote(link, target, args, kwargs)

    @property
    def remote_gen(self) -> SyncAsyncIterator[P, Any]:
        """Run it in a container and iterate over the values that it yields, as they arrive.

        Raises:
            InvalidError: it is not a generator function.
        """
        if self.is_known:
            self._check_generator()
        return SyncAsyncIterator(self._items, self._client, f"{self.name}.remote_gen")

    def _check_generator(self) -> None:
        self._refuse_web("remote_gen")
        if not self.is_generator:
            raise InvalidError(
                f"{self.name} is not a generator function: use {self.name}.remote(…), not .remote_gen(…)"
            )

    async def _items(self, link: Link, /, *args: Any, **kwargs: Any) -> AsyncGenerator[list[Any], None]:
        await self._find(link)
        self._check_generator()
        chunks = invoke.remote_items(link, await self._target(link), args, kwargs)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in this process: a plain call, or a coroutine for an async function. No option applies.

        Raises:
            ExecutionError: the handle came from elsewhere, without the function.
        """
        raw = self.get_raw_f()
        if self.spec.recorded.get("volumes"):
            import warnings

            warnings.warn(f"{self.name} mounts volumes, which are not there in a local call", UserWarning, stacklevel=2)
        return raw(*args, **kwargs)

    @property
    def spawn(self) -> SyncAsync[P, FunctionCall[R]]:
        """Start it, and return a FunctionCall when the server has accepted it; that returns the result later.

        On the daemon, an accepted call is stored: it survives this program, and a crash of the server.

        Raises:
            InvalidError: it is a generator or a web function.
            ResourceExhausted: too many inputs wait already.
        """
        retrying = Retrying(self._spawn, self._client, f"{self.name}.spawn", is_shared=True)
        return cast("SyncAsync[P, FunctionCall[R]]", retrying)

    async def _spawn(self, link: Link, retry: RetryState, /, *args: Any, **kwargs: Any) -> FunctionCall[R]:
        target = self._known_target()
        if target is None or not target.is_plain:
            await self._find(link)
            self._check_many("spawn")
            target = await self._target(link)
        call_id = retry.mint_call_id()
        await invoke.spawn(link, target, args, kwargs, call_id, resent=retry.attempts > 0)
        return FunctionCall(call_id, 1, retry.client)

    # ------------------------------------------------------------ calling with many inputs

    @property
    def map(self) -> MapForm[R]:
        """Run it for each item, or for each tuple of items of several iterables, and iterate over the results.

        Results have the order of the inputs; with `order_outputs=False`, they come as they are ready. The first failure
        is raised, unless `return_exceptions=True` returns it as a result. `kwargs` are constant arguments. At most
        1,000 inputs are sent and not finished at a time, so iterables may be endless.

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
        """Run it for each item and discard the results; `ignore_exceptions=True` ignores failures, too."""
        return SyncAsync(self._for_each, self._client, f"{self.name}.for_each", refuse=True)

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
        """Start it for each item, and return one FunctionCall for all results when all items are accepted."""
        return SyncAsync(self._spawn_map, self._client, f"{self.name}.spawn_map", refuse=True)

    experimental_spawn_map = spawn_map

    async def _spawn_map(
        self, link: Link, *input_iterators: Any, kwargs: dict[str, Any] | None = None
    ) -> FunctionCall[R]:
        await self._find(link)
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
        await self._find(link)
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
    def get_current_stats(self) -> SyncAsync[[], FunctionStats]:
        """Return the numbers of its pool at this moment."""
        return SyncAsync(self._stats, self._client, f"{self.name}.get_current_stats")

    async def _stats(self, link: Link) -> FunctionStats:
        target = await self._target(link)
        stats = await link.ask(Stats, lambda request: GetStats(request, target.function_id))
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
        """Change autoscaler settings at run time; settings that are omitted or None are kept. Returns those in force.

        Raises:
            InvalidError: the settings contradict each other; nothing is changed.
        """
        scaler = self.autoscaler
        return SyncAsync(scaler.change_given, self._client, f"{self.name}.update_autoscaler")

    # ------------------------------------------------------------ the web

    @property
    def get_web_url(self) -> SyncAsync[[], str | None]:
        """Return its URL; None for a function that does not answer HTTP. Waits until something listens there.

        The URL is the same in every version. The URL of a class with parameters has them in its query.

        Raises:
            ServiceError: nothing listens for HTTP on the server's side; says why.
        """
        return SyncAsync(self._web_url, self._client, f"{self.name}.get_web_url")

    async def _web_url(self, link: Link) -> str | None:
        await self._find(link)
        function_id = self._find_id()
        if not function_id:
            raise self._not_here()
        if not self.is_web:
            return None
        parameters, defaults = self._pool_spec().parameters, self._root.spec.parameters
        return await web_url(link, function_id, self._method, parameters, defaults)

    # ------------------------------------------------------------ variants

    def with_options(self, **options: Unpack[VariantOptions]) -> Function[P, R]:
        """Return a variant with other options. It has a pool of its own."""
        return self.variant(lambda spec: with_options(spec, options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Function[P, R]:
        """Return a variant with other concurrency; see `swell.concurrent`."""
        return self.variant(lambda spec: with_concurrency(spec, max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Function[P, R]:
        """Return a variant with other batching; see `swell.batched`."""
        return self.variant(lambda spec: with_batching(spec, max_batch_size, wait_ms))

    def variant(self, derive: Callable[[FunctionSpec], FunctionSpec]) -> Function[P, R]:
        """Return a handle for the same code, with the spec that `derive` makes from this one's.

        The user's options are checked now, even if the spec is looked up later.
        """
        known = self._spec
        spec = derive(NOT_KNOWN_YET if known is None else known)
        return Function[P, R](
            self.app,
            None if known is None else spec,
            self._raw,
            method=self._method,
            find_spec=lambda: derive(self.spec),
            base=self._root,
        )

    def of_instance(
        self, method: str, raw: Callable[..., Any] | None, pool_spec: Callable[[], FunctionSpec], own_id: str = ""
    ) -> Function[..., Any]:
        """Return the handle of a method of an instance of this class; without a name, that of the instance's pool.

        Args:
            method: its name.
            raw: the callable that `.local` calls.
            pool_spec: returns the spec of the instance's pool; called when the handle is first used.
            own_id: id of the pool, if the instance knows it.
        """
        if own_id:
            return Function[..., Any](self.app, self.spec, raw, method=method, function_id=own_id)
        return Function[..., Any](
            self.app,
            self._spec,
            raw,
            method=method,
            find_spec=lambda: self.spec,
            pool_spec=pool_spec,
            base=self._root,
        )

    # ------------------------------------------------------------ checks

    def _refuse_web(self, how: str) -> None:
        if self.is_web:
            raise InvalidError(
                f"{self.name} is a webhook: .{how}() is not possible; send HTTP requests to {self.name}.get_web_url()"
            )

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
