"""The trace context of a call, as headers that OpenTelemetry passes from one process to another.

Only a program that has loaded OpenTelemetry has one: nothing of it is loaded here. This module must not know how calls
are sent.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["current_trace"]

_API: Final = "opentelemetry.trace"
_BYTES_MAX: Final = 4 << 10  #: of a trace context that is sent
_DISPENSABLE: Final = ("baggage", "tracestate")  #: headers that are dropped, in this order, if it is larger


def current_trace() -> dict[str, str]:
    """Return the current trace context as headers; {} if there is none."""
    if _API not in sys.modules:
        return {}
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    for name in _DISPENSABLE:
        if sum(len(header) + len(value) for header, value in carrier.items()) > _BYTES_MAX:
            carrier.pop(name, None)
    return carrier
