"""The nouns of swell as frozen values: what a Function is, what it may use, how its Pool scales.

Values only. This module must not know time, processes, sockets, policies or the engine; everything here can be
compared, hashed, sent over the wire and stored.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from swell.bounds import Id, Integer, Limit, Moment, Name, Number, Text, Variables, Version, plain_problem
from swell.errors import InvalidValueError

__all__ = [
    "AppKind",
    "AutoscalerChange",
    "AutoscalerSettings",
    "Batching",
    "CallKind",
    "ClassSpec",
    "Concurrency",
    "DeliveryMode",
    "Deployment",
    "Environment",
    "FunctionSpec",
    "Gpu",
    "GpuRequest",
    "MemoryExcess",
    "MethodSpec",
    "Node",
    "OutputStatus",
    "ParameterSpec",
    "Provenance",
    "Resources",
    "RetryPolicy",
    "ScheduleSpec",
    "Source",
    "Strategy",
    "WebSpec",
]


class CallKind(IntEnum):
    """Who waits for a Call and how: it decides limits, retention and what a lost client means."""

    REMOTE = 1  #: one input, the caller waits for it
    MAP = 2  #: many inputs, the caller consumes the results
    SPAWN = 3  #: nobody waits; results are kept
    WEB = 4  #: one request over HTTP: it has no bytes here, and the edge waits for its turn

    @property
    def is_async(self) -> bool:
        """True when results must outlive the caller."""
        return self is CallKind.SPAWN


class AppKind(IntEnum):
    """What an App's life depends on."""

    EPHEMERAL = 1  #: ends with the client that runs it
    DETACHED = 2  #: goes on without its client until its calls have ended
    DEPLOYED = 3  #: stays until it is stopped, and is found by its name

    @property
    def is_durable(self) -> bool:
        """True when it outlives its clients, and the server."""
        return self is not AppKind.EPHEMERAL


class DeliveryMode(Enum):
    """How a container runs the inputs of one delivery. The values are those on the wire."""

    SERIAL = "serial"  #: one after the other in one slot; results are reported as time allows
    PARALLEL = "parallel"  #: each at once, in a slot of its own
    BATCH = "batch"  #: all together in one slot, as one call of a batched function
    LEASE = "lease"  #: requests over HTTP: the container is told nothing, the edge brings them


class Strategy(IntEnum):
    """How a new version takes over from the containers of an old one."""

    ROLLING = 1  #: they go on until replacements are ready, then finish what they have
    RECREATE = 2  #: they are interrupted at once; what they ran is run again by new ones


class OutputStatus(IntEnum):
    """How one input ended, as clients see it."""

    SUCCESS = 1
    FAILURE = 2  #: the user's code raised; the payload is that exception
    TERMINATED = 3  #: cancelled or killed on purpose
    TIMEOUT = 4  #: one attempt ran longer than the Function's timeout, and no retry was left
    INIT_FAILURE = 5  #: no container could start; the payload, if any, is the exception of the start
    INTERNAL_FAILURE = 6  #: the platform lost it too often; the payload is empty
    GENERATOR_DONE = 7  #: a generator is exhausted; the payload is the number of items it yielded
    #: Its container used more memory than it may, and was killed; it had that alone, or is a request over HTTP. The
    #: payload says how much.
    OUT_OF_MEMORY = 8


_FEW = Meta(max_length=1_000)  #: parts of one function


class AutoscalerSettings(Struct, frozen=True, omit_defaults=True):
    """One layer of autoscaler settings; None means "this layer says nothing"."""

    min_containers: Integer | None = None
    max_containers: Integer | None = None
    buffer_containers: Integer | None = None
    scaledown_window: Integer | None = None  #: seconds an idle container is kept

    def merge(self, over: AutoscalerSettings) -> AutoscalerSettings:
        """Return these settings with every field that `over` sets replaced by its value."""

        def pick(low: int | None, high: int | None) -> int | None:
            return low if high is None else high

        return AutoscalerSettings(
            pick(self.min_containers, over.min_containers),
            pick(self.max_containers, over.max_containers),
            pick(self.buffer_containers, over.buffer_containers),
            pick(self.scaledown_window, over.scaledown_window),
        )


class AutoscalerChange(Struct, frozen=True, omit_defaults=True):
    """A run-time update: an UNSET field is kept, None resets it to the platform's default, a number overrides it."""

    min_containers: Integer | UnsetType | None = UNSET
    max_containers: Integer | UnsetType | None = UNSET
    buffer_containers: Integer | UnsetType | None = UNSET
    scaledown_window: Integer | UnsetType | None = UNSET


class Concurrency(Struct, frozen=True):
    """How many inputs one container may run at once, and how many dispatch aims at."""

    max_inputs: Integer = 1
    target_inputs: Integer = 1


class Batching(Struct, frozen=True):
    """Form batches of up to `max_batch_size` inputs, waiting at most `wait_ms` after the first."""

    max_batch_size: Integer
    wait_ms: Integer


class RetryPolicy(Struct, frozen=True):
    """Retry k = 1, 2, … waits `initial_delay_s * backoff_coefficient ** (k - 1)`, at most `max_delay_s`."""

    max_retries: Integer
    backoff_coefficient: Number = 2.0
    initial_delay_s: Number = 1.0
    max_delay_s: Number = 60.0


class GpuRequest(Struct, frozen=True):
    """`count` GPUs of one kind for one container; kind "any" takes whatever there is."""

    kind: Name
    count: Integer = 1


class Gpu(Struct, frozen=True):
    """One GPU of a node."""

    uuid: str  #: what CUDA_VISIBLE_DEVICES gets
    kind: str  #: upper-case family name, for example "H100"
    memory_bytes: int = 0


class Resources(Struct, frozen=True):
    """What one container asks for. `gpu` is a ranked list: the first entry that fits wins."""

    cpu: Number = 0.125  #: cores
    memory_bytes: Integer = 128 << 20
    gpu: Annotated[tuple[GpuRequest, ...], _FEW] = ()
    cpu_limit: Limit | None = None
    memory_limit_bytes: Integer | None = None  #: of all its processes together; one over it is killed


class MemoryExcess(Struct, frozen=True):
    """Why a container was killed: all its processes together used more memory than `memory=(request, limit)` allows."""

    used_bytes: int  #: not over the limit if that was never passed: more was wanted, and refused
    limit_bytes: int

    def __str__(self) -> str:
        wanted = "" if self.used_bytes > self.limit_bytes else " and wanted more"
        return f"used {-(-self.used_bytes >> 20)} MiB of memory{wanted}; its limit is {self.limit_bytes >> 20} MiB"


class Node(Struct, frozen=True):
    """A machine as its backend describes it."""

    name: str
    cpu: float  #: cores present, before overcommit
    memory_bytes: int  #: present, before overcommit
    gpus: tuple[Gpu, ...] = ()


class Environment(Struct, frozen=True):
    """Where a client's code lives, so that containers can be started in the same surroundings."""

    python: Text  #: absolute path of the interpreter
    cwd: Text
    sys_path: Annotated[tuple[Text, ...], Meta(max_length=10_000)]
    variables: Variables = {}
    bundle: Id = ""  #: digest of the source files that travel with the code, "" if it is read where it lies
    bundle_dir: Text = ""  #: where they are unpacked: filled in by the server, or by who keeps copies of its own


class Source(Struct, frozen=True):
    """How a container obtains the user's callable: by importing it, or by unpickling `pickled`.

    `module` is the name the client knows the module by. "__main__" means the client ran `file` as a script; a container
    then loads that file under another name, so that the main guard does not run, and aliases it as "__main__".
    """

    module: Name
    qualname: Name
    file: Text | None = None  #: set when the module was loaded from a path that a plain import may not find; if it is
    #: relative, the file is in the environment's bundle
    pickled: bytes = b""
    package: Text = ""  #: that "__main__" belongs to, if it was run as `python -m package.module`


class MethodSpec(Struct, frozen=True):
    """One remotely callable method of a class."""

    name: Name
    is_async: bool = False
    is_generator: bool = False
    web: WebSpec | None = None  #: it answers HTTP instead of calls


class ParameterSpec(Struct, frozen=True):
    """One `parameter()` of a class."""

    name: Name
    kind: Name  #: "str", "int", "bool" or "bytes"
    default: Any = None  #: of that kind; no decoder can be built for a union of str and bytes
    has_default: bool = False

    def __post_init__(self) -> None:
        if problem := plain_problem(self.default):
            raise InvalidValueError(f"the default of parameter {self.name!r:.100}: {problem}")


class ClassSpec(Struct, frozen=True):
    """What makes a Function a Cls: its methods and its parameters."""

    methods: Annotated[tuple[MethodSpec, ...], _FEW]
    parameters: Annotated[tuple[ParameterSpec, ...], _FEW] = ()


class WebSpec(Struct, frozen=True):
    """How a web Function answers HTTP."""

    kind: Name  #: "asgi", "wsgi", "endpoint" or "server"
    method: Name = "GET"
    label: Name | None = None
    docs: bool = False
    requires_proxy_auth: bool = False
    port: Integer = 0
    startup_timeout_s: Limit = 5.0


class ScheduleSpec(Struct, frozen=True, omit_defaults=True):
    """When a Function runs by itself: at times given by a cron line, or again and again after a period."""

    kind: Name  #: "cron" or "period"
    cron_string: Name = ""
    timezone: Name = "UTC"  #: IANA name of the zone in which a cron line is read
    years: Integer = 0
    months: Integer = 0
    weeks: Integer = 0
    days: Integer = 0
    hours: Integer = 0
    minutes: Integer = 0
    seconds: Number = 0


class FunctionSpec(Struct, frozen=True, omit_defaults=True):
    """Everything the server and a container must know about one Function. Built once, by the SDK's decorators."""

    name: Name  #: the Function's tag in its App; "ClassName.*" for a Cls
    source: Source
    is_async: bool = False
    is_generator: bool = False
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    concurrency: Concurrency = Concurrency()
    batching: Batching | None = None
    retry: RetryPolicy | None = None
    timeout_s: Number = 300.0
    startup_timeout_s: Number = 300.0
    resources: Resources = Resources()
    single_use: bool = False
    snapshot: bool = False
    cls: ClassSpec | None = None
    web: WebSpec | None = None
    schedule: ScheduleSpec | None = None
    variables: Variables = {}  #: extra environment variables of the container
    workdir: Text = ""  #: working directory of the container, from the client's own on
    parameters: bytes = b""  #: msgpack map of class parameters: set on a variant, empty on the base
    recorded: dict[Text, Any] = {}  #: options accepted and shown, without effect here

    def __post_init__(self) -> None:
        if problem := plain_problem(self.recorded):
            raise InvalidValueError(f"{self.name!r:.100} has an option that cannot be recorded: {problem}")

    @property
    def batch_size(self) -> int:
        """Inputs that share one slot."""
        return self.batching.max_batch_size if self.batching else 1

    @property
    def web_methods(self) -> dict[str, WebSpec]:
        """What answers HTTP, by name of the method; that of a function is empty."""
        if self.cls is None:
            return {} if self.web is None else {"": self.web}
        return {method.name: method.web for method in self.cls.methods if method.web is not None}


class Provenance(Struct, frozen=True, omit_defaults=True):
    """Where a version came from, for people."""

    deployed_by: Text = ""
    client: Text = ""  #: version of the SDK
    commit: Text = ""  #: of the user's repository: 7 characters, and `*` if it was changed since


class Deployment(Struct, frozen=True):
    """One version of an App: immutable."""

    app_id: Id
    version: Version
    functions: tuple[FunctionSpec, ...]
    environment: Environment
    deployed_at: Moment = 0.0  #: seconds since the epoch
    tag: Name = ""
    provenance: Provenance = Provenance()
