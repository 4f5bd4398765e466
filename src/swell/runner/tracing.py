"""The trace of a caller, continued around the user's code. This module must not know how it came here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["continued"]


@contextmanager
def continued(carrier: dict[str, str] | None, function: Callable[..., Any]) -> Generator[None]:
    """Run what is inside as a part of the caller's trace: in a span of its own, if the program exports spans.

    Args:
        carrier: The caller's trace context, as headers; None if it has none.
        function: The user's, after which the span is named.
    """
    if not carrier:
        yield
        return
    try:
        from opentelemetry import context, propagate, trace
    except ImportError:  # it is not installed here, and so nobody here can make use of it
        yield
        return
    token = context.attach(propagate.extract(carrier))
    try:
        name: str = getattr(function, "__qualname__", repr(function))
        with trace.get_tracer("swell").start_as_current_span(name, kind=trace.SpanKind.SERVER):
            yield
    finally:
        context.detach(token)
