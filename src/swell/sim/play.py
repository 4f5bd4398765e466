"""A simulation told as a story: these functions, these calls at these times, and then what came of it.

    play = Play(nodes=[node(cpu=2)])
    f = play.function("f", scaledown_window=5)
    call = play.map(f, [Work(0.01)] * 100, at=1.0)
    play.run()
    assert play.of(call).finished_at < 1.6

For tests and experiments with chosen conditions; seeds choose their own (`swarm`). This module must not check anything
that the world does not check.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.events import Effect, Event, StartContainer
from swell.model import AutoscalerChange, AutoscalerSettings, CallKind, FunctionSpec, Gpu, Node
from swell.sim.client import AppPlan, FakeClient
from swell.sim.following import Following
from swell.sim.scenario import SOURCE, Scenario
from swell.sim.work import CallPlan, Work
from swell.sim.world import World

__all__ = ["Play", "node"]

SETTINGS = frozenset(AutoscalerSettings.__struct_fields__)


def node(cpu: float = 8, *, name: str = "node-0", memory_bytes: int = 64 << 30, gpus: Sequence[str] = ()) -> Node:
    """Return a node; `gpus` are kinds, one for each GPU."""
    return Node(name, cpu, memory_bytes, tuple(Gpu(f"{name}-gpu-{i}", kind) for i, kind in enumerate(gpus)))


class Play:
    """One client with one app. Say what there is, then `run`, then look."""

    def __init__(
        self,
        *,
        nodes: Sequence[Node] | None = None,
        settings: Settings | None = None,
        seed: int = 0,
        check_every: int = 1,
        **scenario: Any,
    ) -> None:
        self._scenario = Scenario(
            settings=settings or Settings(),
            nodes=tuple([node()] if nodes is None else nodes),
            apps=(),
            **scenario,
        )
        self._plan = AppPlan("ap-0", (), (), closes_at=1e9)
        self._functions: list[FunctionSpec] = []
        self._calls: list[CallPlan] = []
        self._updates: list[tuple[float, str, AutoscalerChange]] = []
        self._seed, self._check_every = seed, check_every
        self._world: World | None = None
        self.starts = 0  #: containers asked for so far
        self._sizes: dict[str, list[tuple[float, int]]] = {}

    # ------------------------------------------------------------ what there is

    def function(self, name: str, **options: Any) -> str:
        """Add a function: fields of FunctionSpec, with those of AutoscalerSettings beside them. Returns its name."""
        autoscaler = {key: options.pop(key) for key in list(options) if key in SETTINGS}
        self._functions.append(FunctionSpec(name, SOURCE, autoscaler=AutoscalerSettings(**autoscaler), **options))
        return name

    def remote(self, function: str, work: Work, *, at: float = 0.0, **options: Any) -> str:
        """Call a function once. Returns the call's id."""
        return self._call(function, CallKind.REMOTE, (work,), at, options)

    def map(self, function: str, works: Sequence[Work], *, at: float = 0.0, **options: Any) -> str:
        """Call a function with many inputs. Returns the call's id."""
        return self._call(function, CallKind.MAP, tuple(works), at, options)

    def spawn(self, function: str, works: Sequence[Work], *, at: float = 0.0, **options: Any) -> str:
        """Call a function without waiting for it. Returns the call's id."""
        return self._call(function, CallKind.SPAWN, tuple(works), at, options)

    def update(self, function: str, change: AutoscalerChange, *, at: float) -> None:
        """Change a function's autoscaler settings at a time."""
        self._updates.append((at, function, change))

    def client(self, **options: Any) -> None:
        """Set fields of the client's AppPlan, such as `gone_at`."""
        self._plan = replace(self._plan, **options)

    def _call(self, function: str, kind: CallKind, works: tuple[Work, ...], at: float, options: dict[str, Any]) -> str:
        call_id = f"fc-{len(self._calls)}"
        self._calls.append(CallPlan(call_id, function, kind, works, at, **options))
        return call_id

    # ------------------------------------------------------------ what happens

    @property
    def world(self) -> World:
        """The world; nothing can be added once it was asked for."""
        if self._world is None:
            plan = replace(
                self._plan,
                functions=tuple(self._functions),
                calls=tuple(self._calls),
                updates=tuple(self._updates),
            )
            scenario = replace(self._scenario, apps=(plan,))
            self._world = World(scenario, self._seed, check_every=self._check_every)
            self._world.listeners.append(self._measure)
        return self._world

    @property
    def _client(self) -> FakeClient:
        return self.world.clients.passing[1]

    def run(self, until: float = 1e8, *, done: Callable[[], bool] | None = None) -> None:
        """Let time pass: until then, or until `done`, or until all calls are over."""
        calls = self._client.calls

        def all_over() -> bool:
            return len(calls) == len(self._calls) and all(call.is_over for call in calls.values())

        self.world.run(until, done=done or (all_over if until == 1e8 else None))

    def finish(self) -> None:
        """Let everything come to its end and check that nothing is left."""
        self._client.close_when_done()
        self.world.finish()

    def _measure(self, event: Event | None, effects: list[Effect]) -> None:
        self.starts += sum(isinstance(effect, StartContainer) for effect in effects)
        for pool in self.world.engine.state.pools.values():
            sizes = self._sizes.setdefault(pool.spec.name, [])
            if not sizes or sizes[-1][1] != pool.fleet.live:
                sizes.append((self.world.clock.now, pool.fleet.live))

    # ------------------------------------------------------------ what came of it

    @property
    def now(self) -> float:
        """The present, in seconds since the beginning."""
        return self.world.clock.now

    @property
    def calls(self) -> list[str]:
        """The calls that were made so far."""
        return list(self._client.calls)

    def backlog(self, function: str) -> int:
        """Return how many inputs of a function wait."""
        pools = self.world.engine.state.pools.values()
        return sum(len(pool.backlog) for pool in pools if pool.spec.name == function)

    def of(self, call_id: str) -> Following:
        """Return what the client knows of a call."""
        return self._client.calls[call_id]

    def took(self, call_id: str) -> float:
        """Return the seconds from a call's beginning to its end, as its client saw them."""
        call = self.of(call_id)
        assert call.finished_at is not None, f"{call_id} is not over"
        return call.finished_at - call.opened_at

    def sizes(self, function: str) -> list[int]:
        """Return the numbers of live containers that a function had, one after another."""
        return [size for _, size in self._sizes[function]]

    def container_seconds(self, function: str) -> float:
        """Return for how long a function's containers lived so far, summed."""
        sizes = [*self._sizes[function], (self.now, 0)]
        return sum(size * (until - since) for (since, size), (until, _) in pairwise(sizes))

    def size_at(self, function: str, at: float) -> int:
        """Return how many live containers a function had at a time."""
        return [size for since, size in self._sizes[function] if since <= at][-1]
