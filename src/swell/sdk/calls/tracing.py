"""The trace that a call is part of, in the form in which OpenTelemetry passes it from one process to another.

Only a program that uses OpenTelemetry has one: nothing of it is loaded here. This module must not know how calls
travel.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["current_trace"]

_API: Final = "opentelemetry.trace"
_BYTES_MAX: Final = 4 << 10  #: of a trace that travels
_DISPENSABLE: Final = ("baggage", "tracestate")  #: what stays behind, in this order, where it is larger


def current_trace() -> dict[str, str]:
    """Return the present trace context as headers; none if there is none."""
    if _API not in sys.modules:
        return {}
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    for name in _DISPENSABLE:
        if sum(len(header) + len(value) for header, value in carrier.items()) > _BYTES_MAX:
            carrier.pop(name, None)
    return carrier
