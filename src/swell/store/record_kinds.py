"""The two kinds of records: about one call, and about apps. `CallsCancelled` alone is about many calls.

This module must not know how either is kept.
"""

from __future__ import annotations

from swell.model import Deployment
from swell.records import (
    AppRecord,
    AttemptRecord,
    BundleRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    OutputsRecord,
    SpanRecord,
    SpansDone,
)

__all__ = ["AppFact", "CallFact"]

CallFact = CallRecord | CallGrown | SpanRecord | SpansDone | OutputsRecord | AttemptRecord | CallEnded
AppFact = AppRecord | Deployment | BundleRecord | FunctionRecord | FunctionGone | ContainerRecord
