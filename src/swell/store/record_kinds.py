"""The two kinds of records: of one call, and of apps. Only `CallsCancelled` concerns many calls.

This module must not know how a store keeps either.
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

__all__ = ["AnyAppRecord", "AnyCallRecord"]

AnyCallRecord = CallRecord | CallGrown | SpanRecord | SpansDone | OutputsRecord | AttemptRecord | CallEnded
AnyAppRecord = AppRecord | Deployment | BundleRecord | FunctionRecord | FunctionGone | ContainerRecord
