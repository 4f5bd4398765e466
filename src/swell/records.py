"""Records: the facts that the engine writes to a store, and the values that a store reads back.

A record is written once and in order; `Record` lists all kinds. Facts that follow from other records are not written.
This module must not know a store, SQL, or the code that writes records.

There may be a million records of calls: `gc=False` keeps Python's collector from walking them again and again. None
of them can be part of a cycle.
"""

from __future__ import annotations

from msgspec import Struct

from swell.items import PackedItems
from swell.model import AppKind, AutoscalerSettings, Deployment, FunctionSpec, OutputStatus

__all__ = [
    "AppRecord",
    "AttemptRecord",
    "BundleRecord",
    "CallEnded",
    "CallGrown",
    "CallRecord",
    "CallsCancelled",
    "ContainerRecord",
    "FunctionGone",
    "FunctionRecord",
    "LoadedCall",
    "LoadedSpans",
    "OutputsRecord",
    "Record",
    "Restored",
    "SpanRecord",
    "SpansDone",
    "StoredCall",
    "StoredOutput",
    "Trace",
    "Waiting",
    "Window",
]

# ---------------------------------------------------------------- apps and functions


class AppRecord(Struct, frozen=True):
    """An app that outlives its clients. Replaces its earlier record."""

    app_id: str
    name: str
    kind: AppKind
    created_at: float  #: this and all times: seconds since the epoch
    version: int = 0  #: the live one; 0 before the first deploy
    stopped_at: float | None = None
    tags: dict[str, str] = {}


class BundleRecord(Struct, frozen=True):
    """The source files of a version, by the digest of their content. Recording it again changes nothing.

    The store drops them with the last app that has a version with them: record them with every such version.
    """

    digest: str
    data: bytes


class FunctionRecord(Struct, frozen=True):
    """A pool of an app that outlives its clients. Replaces its earlier record."""

    function_id: str
    app_id: str
    version: int  #: of its code
    spec: FunctionSpec
    changes: bytes = b""  #: for a variant: its changes to its base, encoded by the engine
    is_pinned: bool = False  #: belongs to that version for good
    is_retired: bool = False  #: the live version has no such function; the pool finishes its inputs
    override: AutoscalerSettings = AutoscalerSettings()
    next_run: float | None = None  #: when its schedule is due
    is_public: bool = False  #: a variant that only HTTP requests have used


class FunctionGone(Struct, frozen=True):
    """A pool that no longer exists."""

    function_id: str


class ContainerRecord(Struct, frozen=True):
    """A stopped container of a durable app."""

    container_id: str
    app_id: str
    function_id: str
    function_name: str
    requested_at: float
    ended_at: float
    reason: str  #: why it ended
    ready_at: float | None = None  #: None if it never became ready
    served: int = 0  #: inputs it was given
    state: str = "stopped"  #: its last state, as in swell.states
    version: int = 0  #: of the code it ran


# ---------------------------------------------------------------- calls


class CallRecord(Struct, frozen=True, gc=False):
    """A spawned call begins, with `accepted` inputs. `sequence` numbers the calls in the order of their arrival."""

    call_id: str
    sequence: int
    function_id: str
    function_name: str
    method: str
    parent: str
    opened_at: float
    accepted: int = 0
    sealed: bool = False


class CallGrown(Struct, frozen=True, gc=False):
    """`accepted` inputs of a call are accepted in all; if `sealed`, there will be no more."""

    call_id: str
    accepted: int
    sealed: bool


class SpanRecord(Struct, frozen=True, gc=False):
    """Inputs first..first+len(ends)-1 of a call; `ends[i]` is the offset in the payload just after input first + i."""

    call_id: str
    first: int
    ends: list[int]
    payload: bytes
    blobs: list[int] = []  #: indexes of inputs whose bytes name a blob

    @classmethod
    def of(cls, call_id: str, first: int, items: PackedItems[bytes]) -> SpanRecord:
        """Return the record of inputs from index `first` on."""
        return cls(call_id, first, items.ends, items.payload, [first + i for i in items.blobs] if items.blobs else [])

    @property
    def items(self) -> PackedItems[bytes]:
        """The inputs."""
        return PackedItems(self.ends, self.payload, [i - self.first for i in self.blobs] if self.blobs else [])


class SpansDone(Struct, frozen=True, gc=False):
    """Every input of these spans of a call has its result: the spans, named by their first input, can be dropped."""

    call_id: str
    firsts: list[int]


class Trace(Struct, frozen=True, array_like=True, gc=False):
    """When inputs that ended together were queued, delivered and ended, and in which container."""

    queued_at: float
    delivered_at: float | None = None  #: None: no container got them
    ended_at: float = 0.0
    container_id: str = ""


class OutputsRecord(Struct, frozen=True, gc=False):
    """Results of inputs first..first+count-1 of a call. Each input gets one such result, ever.

    `ends[i]` is the offset just after result first + i. With `ends` empty they all have the same payload and the same
    status, that of `failures[0]` (SUCCESS without one): a million cancelled inputs are one small record.
    """

    call_id: str
    first: int
    count: int
    ends: list[int]
    payload: bytes
    failures: list[tuple[int, int]] = []  #: (i, OutputStatus) of results first + i that are not SUCCESS
    blobs: list[int] = []  #: positions i of results first + i whose bytes name a blob
    trace: Trace | None = None

    @classmethod
    def of(cls, call_id: str, first: int, items: PackedItems[bytes], trace: Trace | None = None) -> OutputsRecord:
        """Return the record of results of inputs from index `first` on."""
        return cls(
            call_id=call_id,
            first=first,
            count=len(items.ends),
            ends=items.ends,
            payload=items.payload,
            failures=items.failures,
            blobs=items.blobs,
            trace=trace,
        )

    @property
    def items(self) -> PackedItems[bytes]:
        """The results. Not for a record of equal results, which has no offsets."""
        return PackedItems(self.ends, self.payload, self.blobs, self.failures)


class AttemptRecord(Struct, frozen=True, gc=False):
    """The attempts of an input that has not ended: failures, lost containers, and when it may run again."""

    call_id: str
    index: int
    failures: int
    crashes: int
    not_before: float


class CallEnded(Struct, frozen=True, gc=False):
    """Every input of a call has its result, and there will be no more. Its spans and attempts are no longer needed."""

    call_id: str
    num_inputs: int
    ended_at: float


class CallsCancelled(Struct, frozen=True):
    """All unfinished calls of some functions end: their inputs without a result get status TERMINATED and this text.

    `function_ids` names the functions; None means all functions without a record.
    """

    function_ids: tuple[str, ...] | None
    text: str
    ended_at: float


Record = (
    AppRecord
    | Deployment
    | BundleRecord
    | FunctionRecord
    | FunctionGone
    | ContainerRecord
    | CallRecord
    | CallGrown
    | SpanRecord
    | SpansDone
    | OutputsRecord
    | AttemptRecord
    | CallEnded
    | CallsCancelled
)

# ---------------------------------------------------------------- read back


class Window(Struct, frozen=True):
    """Bounds of one read: spans are read until either bound is passed, at least one."""

    inputs_max: int
    bytes_max: int


class StoredOutput(Struct, frozen=True, gc=False):
    """The recorded result of one input."""

    index: int
    status: OutputStatus
    payload: bytes
    has_blob: bool = False


class StoredCall(Struct, frozen=True, gc=False):
    """A spawned call as its records describe it."""

    call_id: str
    sequence: int
    function_id: str
    function_name: str
    method: str
    parent: str
    opened_at: float
    accepted: int
    sealed: bool
    done: int = 0  #: inputs with a result; only counted for calls that have not ended
    ended_at: float | None = None
    expired: bool = False  #: its results are no longer kept


class LoadedSpans(Struct, frozen=True, gc=False):
    """Spans of a call from some input on, without gaps, and the inputs among them that have results."""

    call_id: str
    spans: list[SpanRecord]
    done: list[tuple[int, int]]  #: (first, count) runs, in order; may reach beyond the spans
    upto: int  #: the first input that is not covered; `accepted` when there are no more


class LoadedCall(Struct, frozen=True, gc=False):
    """A call that has not ended, with the first of its inputs that have no result, within a window."""

    call: StoredCall
    spans: LoadedSpans
    attempts: list[AttemptRecord] = []


class Waiting(Struct, frozen=True):
    """The backlog of a function: calls that have not ended, and their inputs without a result."""

    calls: int
    inputs: int


class Restored(Struct, frozen=True):
    """The state that a starting server needs, without the calls themselves."""

    apps: tuple[AppRecord, ...] = ()  #: not stopped
    deployments: tuple[Deployment, ...] = ()  #: live versions, and versions of the functions below
    functions: tuple[FunctionRecord, ...] = ()  #: existing ones
    waiting: dict[str, Waiting] = {}  #: by function, for functions that have any
    sequence: int = 0  #: the highest number given to a call
