"""What a seed chooses: settings, nodes, functions, calls, and how much goes wrong. No two seeds test the same thing.

Values only, drawn from one `Random`. This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct, msgpack, structs

from swell.config import Settings
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    Batching,
    CallKind,
    ClassSpec,
    Concurrency,
    FunctionSpec,
    Gpu,
    GpuRequest,
    MethodSpec,
    Node,
    ParameterSpec,
    Resources,
    RetryPolicy,
    Source,
    Strategy,
    WebSpec,
)
from swell.sim.client import AppPlan
from swell.sim.deployer import LastingPlan, Version
from swell.sim.work import CallPlan, Mishap, Tuning, Work

__all__ = ["SOURCE", "Faults", "Scenario", "draw", "draw_function", "draw_lasting", "draw_web"]

SOURCE = Source("app", "f", "app.py")


class Faults(Struct, frozen=True):
    """How often the surroundings misbehave, until `until`."""

    until: float = 0.0
    lost_per_s: float = 0.0  #: containers that die for no reason, each second
    start_refused: float = 0.0  #: probability that the backend cannot make the process
    start_fails: float = 0.0  #: probability that an import or enter hook raises
    start_hangs: float = 0.0
    start_slow_s: float = 0.0  #: added to a start, at most
    exit_hangs: float = 0.0
    leaves: float = 0.0  #: probability that a container leaves by itself
    resizes: float = 0.0  #: probability that a container sets its own number of slots
    repeated: float = 0.0  #: probability that a message of a container arrives a second time, later
    nodes_per_s: float = 0.0  #: nodes that vanish, each second; they come back


class Scenario(Struct, frozen=True):
    """Everything the world needs to run."""

    settings: Settings
    nodes: tuple[Node, ...]
    apps: tuple[AppPlan, ...]
    faults: Faults = Faults()
    latency_s: float = 0.0001
    tick_late_s: float = 0.0  #: how late the shell may call `tick`, at most
    start_s: float = 0.002
    items_ahead_max: int = 1_024
    commit_s: float = 0.0005  #: how long the store takes to make something durable
    lasting: tuple[LastingPlan, ...] = ()  #: clients of durable apps
    is_large: bool = False  #: meets what bounds one event by itself: the bounds need not be lower for it
    crash_points: tuple[int, ...] = ()  #: moments between two effects, counted, at which the server is killed


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    random = Random(seed)
    faults = _faults(random)
    settings = _settings(random)
    with_gpus = random.random() < 0.3
    nodes = _nodes(random, with_gpus=with_gpus)
    apps = tuple(_app(random, number, faults, with_gpus=with_gpus) for number in range(random.choice((1, 1, 2, 3))))
    return Scenario(
        settings=settings,
        nodes=nodes,
        apps=apps,
        faults=faults,
        latency_s=random.choice((0.00002, 0.0001, 0.002)),
        tick_late_s=random.choice((0.0, 0.0, 0.002, 0.05)),
        start_s=random.choice((0.002, 0.05, 1.0)),
        items_ahead_max=random.choice((4, 1_024)),
    )


def draw_web(seed: int) -> Scenario:
    """Return a scenario of a seed with an app more, which answers HTTP."""
    random = Random(f"web {seed}")
    base = draw(seed)
    variants = Random(f"variants {seed}")
    plan = _web_app(random, len(base.apps))
    if variants.random() < 0.7:
        plan = _with_variants(variants, plan)
    return structs.replace(base, settings=_few_variants(variants, base.settings), apps=(*base.apps, plan))


def _web_app(random: Random, number: int) -> AppPlan:
    plan = _app(random, number, Faults(), with_gpus=False)
    functions = tuple(_web_function(random, spec.name) for spec in plan.functions)
    calls: list[CallPlan] = []
    for i in range(random.choice((1, 8, 60))):
        spec = random.choice(functions)
        call = _call(random, f"fc-w{number}-{i}", spec, plan.opens_at)
        if call.method not in spec.web_methods:
            calls.append(call)
            continue
        work = _work(random, spec, random.choice((0.0005, 0.01, 0.3)), random.choice((0.0, 0.3)))
        work, repeats = structs.replace(work, is_blob=False), random.random() < 0.1
        calls.append(structs.replace(call, kind=CallKind.WEB, works=(work,), repeats=repeats))
    return structs.replace(plan, functions=functions, calls=tuple(calls))


def _web_function(random: Random, name: str) -> FunctionSpec:
    spec = structs.replace(
        draw_function(random, name, with_gpus=False), batching=None, retry=None, is_generator=False, cls=None
    )
    if random.random() < 0.3:
        return structs.replace(spec, cls=ClassSpec((MethodSpec("a"), MethodSpec("b", web=WebSpec("asgi")))))
    return structs.replace(spec, web=WebSpec("asgi"))


# ---------------------------------------------------------------- classes with parameters


def _few_variants(random: Random, settings: Settings) -> Settings:
    return structs.replace(settings, web_variants_max=random.choice((0, 1, 2, 5, 32)))


def _with_variants(random: Random, plan: AppPlan) -> AppPlan:
    """Have the web functions of an app be classes with parameters, of which requests and calls name few or many."""
    functions = tuple(_with_parameters(spec) if spec.web_methods else spec for spec in plan.functions)
    parametrised = tuple(spec for spec in functions if spec.cls is not None and spec.cls.parameters)
    values = _values(random)
    calls = tuple(_naming(random, call, parametrised, values) for call in plan.calls)
    return structs.replace(
        plan, functions=functions, calls=calls, tunings=_tunings(random, parametrised, values, plan.opens_at)
    )


def _with_parameters(spec: FunctionSpec) -> FunctionSpec:
    methods = (MethodSpec("a"), MethodSpec("b", web=WebSpec("asgi")))
    return structs.replace(
        spec, web=None, cls=ClassSpec(methods, (ParameterSpec("x", "int", 0, has_default=True),)), batching=None
    )


def _values(random: Random) -> tuple[bytes, ...]:
    return tuple(msgpack.encode({"x": value}) for value in range(1, random.choice((1, 3, 10, 60)) + 1))


def _naming(random: Random, call: CallPlan, functions: tuple[FunctionSpec, ...], values: tuple[bytes, ...]) -> CallPlan:
    if all(call.function != spec.name for spec in functions):
        return call
    method = "b" if call.kind is CallKind.WEB else "a"
    parameters = random.choice(values) if random.random() < 0.9 else b""
    return structs.replace(call, method=method, parameters=parameters)


def _tunings(
    random: Random, functions: tuple[FunctionSpec, ...], values: tuple[bytes, ...], since: float
) -> tuple[Tuning, ...]:
    """Settings of some variants are changed, and looked at again much later."""
    tunings: list[Tuning] = []
    for _ in range(random.choice((0, 1, 4)) if functions else 0):
        function, parameters, at = random.choice(functions).name, random.choice(values), since + random.uniform(0, 20)
        change = structs.replace(_change(random), min_containers=random.choice((0, 0, 0, 1)))
        tunings.append(Tuning(at, function, parameters, change))
        tunings += [Tuning(at + later, function, parameters, AutoscalerChange()) for later in (0.5, 30.0, 300.0)]
    return tuple(tunings)


# ---------------------------------------------------------------- durable apps


def draw_lasting(seed: int) -> Scenario:
    """Return a scenario of a seed with durable apps, and a server that is killed now and again."""
    random = Random(f"lasting {seed}")
    base = draw(seed)
    variants = Random(f"variants {seed}")
    settings = structs.replace(
        _few_variants(variants, base.settings),
        backlog_inputs_max=random.choice((2, 5, 4_096)),
        backlog_calls_max=random.choice((2, 4, 8_192)),
        backlog_bytes_max=random.choice((1_024, 64 << 20)),
    )
    with_gpus = any(node.gpus for node in base.nodes)
    return structs.replace(
        base,
        settings=settings,
        apps=base.apps if random.random() < 0.3 else (),
        lasting=tuple(
            # Floors of two apps that never end could hold every GPU: an input of either would then wait for ever.
            _with_requests(variants, _lasting(random, number, with_gpus=with_gpus and not number))
            for number in range(random.choice((1, 1, 2)))
        ),
        crash_points=tuple(int(10 ** random.uniform(0, 3.7)) for _ in range(random.choice((0, 1, 3, 8)))),
        commit_s=random.choice((0.0001, 0.001, 0.05)),
    )


def _lasting(random: Random, number: int, *, with_gpus: bool) -> LastingPlan:
    first = tuple(
        _lasting_function(random, f"f{i}", with_gpus=with_gpus and not i) for i in range(random.choice((1, 2)))
    )
    versions = [Version(0.0, first)]
    for _ in range(random.choice((0, 0, 1, 4))):
        functions = tuple(_changed(random, spec) for spec in first)
        strategy = random.choice((Strategy.ROLLING, Strategy.ROLLING, Strategy.RECREATE))
        versions.append(
            Version(versions[-1].at + random.choice((0.001, 0.1, random.uniform(0, 10))), functions, strategy)
        )
    calls = tuple(
        _lasting_call(random, f"fc-l{number}-{i}", random.choice(first)) for i in range(random.choice((1, 4, 12)))
    )
    return LastingPlan(f"ap-l{number}", f"lasting-{number}", tuple(versions), calls)


def _with_requests(random: Random, plan: LastingPlan) -> LastingPlan:
    """Have a durable app answer HTTP, too: by a class with parameters, of which every version has the same code."""
    if random.random() < 0.4:
        return plan
    spec = structs.replace(_lasting_function(random, "site", with_gpus=False), retry=None)
    spec, values = _with_parameters(spec), _values(random)
    versions = tuple(
        structs.replace(version, functions=(*version.functions, structs.replace(_changed(random, spec), batching=None)))
        for version in plan.versions
    )
    calls = list(plan.calls)
    for i in range(random.choice((2, 8, 40))):
        call = _lasting_call(random, f"{plan.app_id}-{i}".replace("ap-", "fc-v"), spec)
        call = _naming(random, call, (spec,), values)
        if random.random() < 0.7:
            work = structs.replace(_work(random, spec, 0.01, random.choice((0.0, 0.3))), is_blob=False)
            call = structs.replace(call, kind=CallKind.WEB, method="b", works=(work,), watches=False)
        calls.append(call)
    return structs.replace(
        plan,
        versions=versions,
        calls=tuple(calls),
        tunings=_tunings(random, (spec,), values, 0.0),
        redeploys=random.random() < 0.5,
    )


def _lasting_call(random: Random, call_id: str, function: FunctionSpec) -> CallPlan:
    """Return a call that is most likely a spawned one, since these are what a crash must not lose."""
    plan = _call(random, call_id, function, 0.0)
    if random.random() < 0.3:
        return plan
    works = plan.works or (Work(0.001),)
    count = random.choice((1, 1, 5, 20, 60))
    watches = random.random() < 0.7
    return structs.replace(
        plan, kind=CallKind.SPAWN, works=tuple(random.choice(works) for _ in range(count)), watches=watches
    )


def _lasting_function(random: Random, name: str, *, with_gpus: bool) -> FunctionSpec:
    spec = draw_function(random, name, with_gpus=with_gpus)
    return structs.replace(spec, is_generator=False)


def _changed(random: Random, spec: FunctionSpec) -> FunctionSpec:
    """Return another version of a function: what its inputs do stays, how they are run does not."""
    if random.random() < 0.2:
        return spec
    other = draw_function(random, spec.name, with_gpus=False)
    return structs.replace(
        spec,
        autoscaler=other.autoscaler,
        concurrency=other.concurrency,
        batching=other.batching if spec.cls is None else None,
        single_use=other.single_use,
        startup_timeout_s=other.startup_timeout_s,
    )


def _some(random: Random, probability: float, *values: float) -> float:
    return random.choice(values) if random.random() < probability else 0.0


def _faults(random: Random) -> Faults:
    if random.random() < 0.15:
        return Faults()
    return Faults(
        until=random.uniform(1.0, 60.0),
        lost_per_s=_some(random, 0.4, 0.02, 0.3, 3.0),
        start_refused=_some(random, 0.25, 0.1, 0.5),
        start_fails=_some(random, 0.25, 0.1, 0.5, 1.0),
        start_hangs=_some(random, 0.2, 0.1, 0.5),
        start_slow_s=_some(random, 0.3, 0.1, 3.0),
        exit_hangs=_some(random, 0.2, 0.2, 1.0),
        leaves=_some(random, 0.2, 0.2, 1.0),
        resizes=_some(random, 0.2, 0.5),
        repeated=_some(random, 0.4, 0.05, 0.5),
        nodes_per_s=_some(random, 0.25, 0.05, 0.5),
    )


def _settings(random: Random) -> Settings:
    small = random.random() < 0.3
    return Settings(
        pending_sync_max=random.randint(3, 60) if small else 2_000,
        total_sync_max=random.randint(10, 100) if small else 25_000,
        pending_async_max=random.randint(3, 60) if small else 1_000_000,
        retry_after_s=random.choice((0.05, 0.5)),
        poison_crashes_max=random.choice((1, 2, 3, 8)),
        start_failures_max=random.choice((1, 3)),
        default_scaledown_window=random.choice((1, 5, 60)),
        run_ahead_ms=random.choice((1.0, 5.0, 50.0)),
        start_backoff_s=random.choice((0.05, 0.1, 0.5)),
        retry_delay_min_s=random.choice((0.0, 0.1, 1.0)),
        cancel_grace_s=random.choice((0.1, 5.0)),
        exit_grace_s=random.choice((0.5, 30.0)),
        containers_max=random.choice((2, 4_000)),
    )


def _nodes(random: Random, *, with_gpus: bool) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for number in range(random.choice((1, 1, 2, 4))):
        gpus = tuple(Gpu(f"gpu-{number}-{i}", random.choice(("A100", "H100"))) for i in range(4)) if with_gpus else ()
        nodes.append(Node(f"node-{number}", random.choice((0.5, 2, 8)), random.choice((1, 16)) << 30, gpus))
    return tuple(nodes)


def _app(random: Random, number: int, faults: Faults, *, with_gpus: bool) -> AppPlan:
    functions = tuple(
        draw_function(random, f"f{i}", with_gpus=with_gpus and not i) for i in range(random.choice((1, 1, 2, 3)))
    )
    opens_at = random.choice((0.0, random.uniform(0, 5)))
    calls = tuple(
        _call(random, f"fc-{number}-{i}", random.choice(functions), opens_at) for i in range(random.choice((1, 3, 8)))
    )
    ends_early = random.random()
    updates = tuple(
        (opens_at + random.uniform(0, 20), random.choice(functions).name, _change(random))
        for _ in range(random.choice((0, 0, 3)))
    )
    return AppPlan(
        f"ap-{number}",
        functions,
        calls,
        updates=updates,
        opens_at=opens_at,
        closes_at=opens_at + random.uniform(0, 20) if ends_early < 0.1 else None,
        retires=ends_early < 0.05,
        gone_at=opens_at + random.uniform(0, 20) if 0.1 <= ends_early < 0.25 else None,
        detach=random.random() < 0.2,
        take_items_every=random.choice((1, 2)),
    )


def draw_function(random: Random, name: str, *, with_gpus: bool) -> FunctionSpec:
    """Return a function with any options."""
    concurrency, batching = Concurrency(), None
    if random.random() < 0.35:
        max_inputs = random.choice((2, 5, 20))
        concurrency = Concurrency(max_inputs, random.randint(1, max_inputs))
    if random.random() < 0.25:
        batching = Batching(random.choice((1, 3, 16)), random.choice((0, 10, 1_000)))
    retry = None
    if random.random() < 0.5:
        coefficient = random.choice((1.0, 2.0))
        retry = RetryPolicy(random.choice((0, 1, 3)), coefficient, random.choice((0.0, 1.0)), random.choice((1.0, 5.0)))
    low = random.choice((0, 0, 0, 2))
    high = random.choice((None, None, max(1, low), 5))
    buffer = random.choice((None, None, 2))
    return FunctionSpec(
        name,
        SOURCE,
        is_async=random.random() < 0.5,
        is_generator=batching is None and random.random() < 0.15,
        autoscaler=AutoscalerSettings(low, high, buffer, random.choice((None, 1, 3))),
        concurrency=concurrency,
        batching=batching,
        retry=retry,
        timeout_s=random.choice((1.0, 5.0, 300.0)),
        startup_timeout_s=random.choice((2.0, 300.0)),
        resources=Resources(
            cpu=random.choice((0.125, 1.0)),
            gpu=(GpuRequest("H100", 2), GpuRequest("any", 1)) if with_gpus else (),
        ),
        single_use=random.random() < 0.1,
        cls=ClassSpec((MethodSpec("a"), MethodSpec("b"))) if batching is None and random.random() < 0.2 else None,
    )


def _change(random: Random) -> AutoscalerChange:
    return AutoscalerChange(
        min_containers=random.choice((0, 1, 3, None)),
        max_containers=random.choice((1, 4, None)),
        buffer_containers=random.choice((0, 2)),
        scaledown_window=random.choice((1, 10)),
    )


def _call(random: Random, call_id: str, function: FunctionSpec, opens_at: float) -> CallPlan:
    kind = random.choice((CallKind.REMOTE, CallKind.MAP, CallKind.SPAWN))
    if function.is_generator:
        kind = CallKind.REMOTE
    many = random.choice((0, 1, 10, 60, 300)) if kind is CallKind.MAP else random.choice((1, 1, 20))
    count = 1 if kind is CallKind.REMOTE else many
    scale = random.choice((0.00001, 0.0005, 0.01, 0.3))
    trouble = random.choice((0.0, 0.0, 0.02, 0.3))
    cancels = random.random() < 0.2
    return CallPlan(
        call_id=call_id,
        function=function.name,
        kind=kind,
        works=tuple(_work(random, function, scale, trouble) for _ in range(count)),
        opens_at=opens_at + random.choice((0.0, 0.0, random.uniform(0, 10))),
        method=random.choice(function.cls.methods).name if function.cls else "",
        span_max=random.choice((1, 7, 100)),
        window=random.choice((5, 100, 1_000)),
        cancels_after_s=random.choice((0.0, random.uniform(0, 0.2), random.uniform(0, 3))) if cancels else None,
        terminates=random.random() < 0.3,
        watches=kind is CallKind.SPAWN and random.random() < 0.7,
    )


def _work(random: Random, function: FunctionSpec, scale: float, trouble: float) -> Work:
    mishaps: tuple[Mishap, ...] = ()
    if random.random() < trouble:
        choices = (Mishap.FAIL, Mishap.FAIL, Mishap.HANG, Mishap.KILL, Mishap.OUTGROW)
        mishaps = tuple(random.choice(choices) for _ in range(random.randint(1, 4)))
    duration = scale * random.choice((0.5, 1.0, 1.0, 1.0, 2.0, 20.0 if random.random() < 0.2 else 1.0))
    return Work(
        duration,
        mishaps,
        always_kills=random.random() < trouble * 0.05,
        items=random.choice((1, 3, 20)) if function.is_generator else 0,
        resists=random.random() < 0.2,
        is_blob=random.random() < 0.1,
    )
