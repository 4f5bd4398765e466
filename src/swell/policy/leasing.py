"""Which functions' containers may be leased to a client for its calls, and for how long.

Pure. This module must not know who asks for a lease, or what a container is doing.
"""

from __future__ import annotations

from typing import Final

from swell.model import FunctionSpec

__all__ = ["HOLD_MIN_S", "IDLE_MAX_S", "SERVICE_MAX_S", "is_worth_leasing", "may_lease"]

#: How long a lease lasts at least, though others wait: a grant and its end cost about as much as one ordinary call, and
#: some twenty calls must fit. As much as a slot may run ahead, so that nobody waits longer than for that.
HOLD_MIN_S: Final = 0.005
SERVICE_MAX_S: Final = 0.005  #: calls that take longer are announced one by one, which costs more than it saves
IDLE_MAX_S: Final = 0.2  #: how long a lease lasts on which no call has ended; containers report every 50 ms


def may_lease(spec: FunctionSpec) -> bool:
    """Tell whether a container of a function may take calls straight from a client.

    It runs one synchronous input after another. Those that run several at a time, batches or coroutines, that answer
    HTTP or are used once have other readers of their connections, or another idea of a slot.
    """
    methods = () if spec.cls is None else spec.cls.methods
    is_async = spec.is_async or any(method.is_async for method in methods)
    is_other = spec.single_use or spec.is_generator or bool(spec.web_methods)
    return spec.is_serial and not is_async and not is_other


def is_worth_leasing(service_s: float | None) -> bool:
    """Tell whether calls that take so long by measurement, if there is one, are quick enough to go past the server."""
    return service_s is not None and service_s < SERVICE_MAX_S
