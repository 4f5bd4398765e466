"""Continues a caller's trace around the user's code. This module must not know how the trace context travels."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["continued"]


@contextmanager
def continued(carrier: dict[str, str] | None, function: Callable[..., Any]) -> Generator[None]:
    """Run the block as a part of the caller's trace: in a span of its own, if the program exports spans.

    Args:
        carrier: The caller's trace context, as headers; None if there is none.
        function: The user's function, which names the span.
    """
    if not carrier:
        yield
        return
    try:
        from opentelemetry import context, propagate, trace
    except ImportError:  # not installed here, so nothing here exports spans
        yield
        return
    token = context.attach(propagate.extract(carrier))
    try:
        name: str = getattr(function, "__qualname__", repr(function))
        with trace.get_tracer("swell").start_as_current_span(name, kind=trace.SpanKind.SERVER):
            yield
    finally:
        context.detach(token)
