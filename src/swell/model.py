"""The nouns of swell as frozen values: what a Function is, what it may use, how its Pool scales.

Values only. This module must not know time, processes, sockets, policies or the engine; everything here can be
compared, hashed, sent over the wire and stored.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from swell.bounds import (
    ARGUMENTS_MAX,
    Id,
    Integer,
    Limit,
    Moment,
    Name,
    Number,
    Text,
    Variables,
    Version,
    plain_problem,
)
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
    "Placement",
    "Provenance",
    "RefusedNode",
    "Resources",
    "RetryPolicy",
    "ScheduleSpec",
    "Source",
    "Strategy",
    "WebSpec",
]


class CallKind(IntEnum):
    """How a Call was made. It decides the Call's limits, its retention, and the effect of losing its client."""

    REMOTE = 1  #: one input, the caller waits for it
    MAP = 2  #: many inputs, the caller consumes the results
    SPAWN = 3  #: no caller waits; results are kept
    WEB = 4  #: one HTTP request: the engine has none of its bytes; the edge waits for its turn

    @property
    def is_async(self) -> bool:
        """True when results must outlive the caller."""
        return self is CallKind.SPAWN


class AppKind(IntEnum):
    """What ends an App."""

    EPHEMERAL = 1  #: ends with the client that runs it
    DETACHED = 2  #: continues without its client until its calls have ended
    DEPLOYED = 3  #: runs until it is stopped; clients find it by its name

    @property
    def is_durable(self) -> bool:
        """True when it outlives its clients, and the server."""
        return self is not AppKind.EPHEMERAL


class DeliveryMode(Enum):
    """How a container runs the inputs of one delivery. The values are those on the wire."""

    SERIAL = "serial"  #: one after the other in one slot; results are reported as time allows
    PARALLEL = "parallel"  #: all at once, each in a slot of its own
    BATCH = "batch"  #: all together in one slot, as one call of a batched function
    LEASE = "lease"  #: HTTP requests: the server sends the container nothing, the edge sends them
    DIRECT = "direct"  #: a call that its client has sent to the container itself, in the slot of its call lease


class Strategy(IntEnum):
    """How a new version takes over from the containers of an old one."""

    ROLLING = 1  #: old containers run until replacements are ready, then finish their inputs
    RECREATE = 2  #: old containers are interrupted at once; new ones run their inputs again


class Placement(Enum):
    """Which node a function's next container goes to. The values are those on the wire, and in options."""

    PACK = "pack"  #: the fullest that has room, so that others become empty
    SPREAD = "spread"  #: the one with the fewest containers of the function


class OutputStatus(IntEnum):
    """How one input ended, as clients see it."""

    SUCCESS = 1
    FAILURE = 2  #: the user's code raised; the payload is that exception
    TERMINATED = 3  #: cancelled or killed on purpose
    TIMEOUT = 4  #: one attempt ran longer than the Function's timeout, and no retry was left
    INIT_FAILURE = 5  #: no container could start; the payload, if any, is the exception of the start
    INTERNAL_FAILURE = 6  #: the platform lost the input too often; the payload is empty
    GENERATOR_DONE = 7  #: a generator is exhausted; the payload is the number of items it yielded
    #: The container exceeded its memory limit and was killed; the input ran alone in it, or is an HTTP request. The
    #: payload gives the memory used and the limit.
    OUT_OF_MEMORY = 8


_FEW = Meta(max_length=1_000)  #: bound on each list of parts of one function


class AutoscalerSettings(Struct, frozen=True, omit_defaults=True):
    """One layer of autoscaler settings; None: this layer leaves the field to the others."""

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
    """`count` GPUs of one kind for one container; kind "any" accepts every GPU."""

    kind: Name
    count: Integer = 1


class Gpu(Struct, frozen=True):
    """One GPU of a node."""

    uuid: str  #: as in CUDA_VISIBLE_DEVICES
    kind: str  #: upper-case family name, for example "H100"
    memory_bytes: int = 0


class Resources(Struct, frozen=True):
    """The resources that one container requests. `gpu` is a ranked list: the first entry that fits wins."""

    cpu: Number = 0.125  #: cores
    memory_bytes: Integer = 128 << 20
    gpu: Annotated[tuple[GpuRequest, ...], _FEW] = ()
    cpu_limit: Limit | None = None
    memory_limit_bytes: Integer | None = None  #: of all its processes together; a container above it is killed


class Lack(Struct, frozen=True):
    """So many containers are wanted, and fit on no node."""

    resources: Resources
    count: int


class MemoryExcess(Struct, frozen=True):
    """Why a container was killed: all its processes together used more memory than `memory=(request, limit)` allows."""

    used_bytes: int  #: at most the limit if the kernel refused the memory that would have exceeded it
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


class RefusedNode(Struct, frozen=True):
    """A machine that is there and gets no containers."""

    name: Name
    reason: Text  #: completes "it was refused: …"


class Environment(Struct, frozen=True):
    """Interpreter, paths and variables of a client, so that its containers start in the same environment.

    One that is portable names no path of the client's machine (see `swell.policy.portable`).
    """

    python: Text  #: absolute path of the interpreter; "": that of the machine where it runs, with its variables
    cwd: Text  #: "": the directory of the bundle
    sys_path: Annotated[tuple[Text, ...], Meta(max_length=10_000)]
    variables: Variables = {}
    bundle: Id = ""  #: digest of the uploaded source files; "": the code is read from its own directory
    bundle_dir: Text = ""  #: where they are unpacked: set by the server, or by the component that keeps its own copies
    argv: Annotated[tuple[bytes, ...], Meta(max_length=ARGUMENTS_MAX)] = ()  #: the program's command line, as the
    #: kernel has it, which need not be text; of a deployed version its name alone; () of versions that are older
    raw_variables: Annotated[tuple[tuple[bytes, bytes], ...], Meta(max_length=10_000)] = ()  #: those that are no text


class Source(Struct, frozen=True):
    """How a container obtains the user's callable: by importing it, or by unpickling `pickled`.

    `module` is the name the client knows the module by. "__main__" means the client ran `file` as a script; a container
    then loads that file as its own "__main__", whose main guard at the top level does not run.
    """

    module: Name
    qualname: Name
    file: Text | None = None  #: set when the module was loaded from a path that a plain import may not find; if it is
    #: relative, the file is in the environment's bundle
    pickled: bytes = b""
    package: Text = ""  #: package of "__main__", if the client ran `python -m package.module`
    script: Name = ""  #: identity of "__main__" (see `swell.wire.script`); "" from a client that does not tell it


class MethodSpec(Struct, frozen=True):
    """One remotely callable method of a class."""

    name: Name
    is_async: bool = False
    is_generator: bool = False
    web: WebSpec | None = None  #: set if it answers HTTP requests instead of calls


class ParameterSpec(Struct, frozen=True):
    """One `parameter()` of a class."""

    name: Name
    kind: Name  #: "str", "int", "bool" or "bytes"
    default: Any = None  #: of that kind; typed Any because no decoder can be built for a union of str and bytes
    has_default: bool = False

    def __post_init__(self) -> None:
        if problem := plain_problem(self.default):
            raise InvalidValueError(f"the default of parameter {self.name!r:.100}: {problem}")


class ClassSpec(Struct, frozen=True):
    """The methods and parameters of a Function that serves a class (a Cls)."""

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

    @property
    def is_site(self) -> bool:
        """Whether it answers at many paths, with pages that link each other."""
        return self.kind != "endpoint"


class ScheduleSpec(Struct, frozen=True, omit_defaults=True):
    """When the server runs a Function: at the times of a cron line, or each time a period has passed."""

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
    """Everything that the server and a container must know about one Function. Built once, by the SDK's decorators."""

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
    workdir: Text = ""  #: working directory of the container; relative paths start at the client's
    parameters: bytes = b""  #: msgpack map of class parameters: set on a variant, empty on the base
    recorded: dict[Text, Any] = {}  #: options accepted and shown, without effect here
    placement: Placement = Placement.PACK

    def __post_init__(self) -> None:
        if problem := plain_problem(self.recorded):
            raise InvalidValueError(f"{self.name!r:.100} has an option that cannot be recorded: {problem}")

    @property
    def batch_size(self) -> int:
        """The number of inputs that share one slot."""
        return self.batching.max_batch_size if self.batching else 1

    @property
    def is_serial(self) -> bool:
        """True if a container runs one input at a time, so that more may be queued to it ahead."""
        return self.concurrency.max_inputs == 1 and self.batching is None

    @property
    def web_methods(self) -> dict[str, WebSpec]:
        """Web specs by method name; the name is "" for a plain function."""
        if self.cls is None:
            return {} if self.web is None else {"": self.web}
        return {method.name: method.web for method in self.cls.methods if method.web is not None}


class Provenance(Struct, frozen=True, omit_defaults=True):
    """Where a version came from, as shown to people."""

    deployed_by: Text = ""
    client: Text = ""  #: version of the SDK
    commit: Text = ""  #: of the user's repository: 7 characters, then `*` if files have changed since


class Deployment(Struct, frozen=True):
    """One version of an App: immutable."""

    app_id: Id
    version: Version
    functions: tuple[FunctionSpec, ...]
    environment: Environment
    deployed_at: Moment = 0.0  #: seconds since the epoch
    tag: Name = ""
    provenance: Provenance = Provenance()
