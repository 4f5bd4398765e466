"""Functions that tell which trace they are part of, for tests of tracing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from opentelemetry import baggage, trace

import swell

app = swell.App("traced")


def _told() -> tuple[str, str | None]:
    context = trace.get_current_span().get_span_context()
    color = baggage.get_baggage("color")
    return f"{context.trace_id:032x}", None if color is None else str(color)


@app.function()
def plain(x: int = 0) -> tuple[str, str | None]:
    return _told()


@app.function()
async def asynchronous(x: int = 0) -> tuple[str, str | None]:
    return _told()


@app.function()
@swell.concurrent(max_inputs=4)
def threaded(x: int = 0) -> tuple[str, str | None]:
    return _told()


@app.function()
def items() -> Iterator[tuple[str, str | None]]:
    yield _told()


@app.function()
async def async_items() -> AsyncIterator[tuple[str, str | None]]:
    yield _told()


@app.function()
def spans(parent: str) -> list[tuple[str, str, str]]:
    """Export spans of a call that this makes; return (name, kind, trace id) of each."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    from swell.runner.tracing import continued

    with continued({"traceparent": parent}, spans.get_raw_f()):
        pass
    return [
        (span.name, span.kind.name, f"{span.context.trace_id:032x}")
        for span in exporter.get_finished_spans()
        if span.context is not None
    ]
