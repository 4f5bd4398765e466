"""The trace of a caller goes on in containers, for every kind of function and of call."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import traced as t
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

import swell

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
NO_TRACE = "0" * 32


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(t.app)


@pytest.fixture
def in_a_trace() -> Iterator[None]:
    span = NonRecordingSpan(SpanContext(int(TRACE, 16), 1, is_remote=False, trace_flags=TraceFlags(1)))
    token = context.attach(baggage.set_baggage("color", "red", trace.set_span_in_context(span)))
    yield
    context.detach(token)


@pytest.mark.usefixtures("in_a_trace")
@pytest.mark.parametrize("function", [t.plain, t.asynchronous, t.threaded], ids=["plain", "async", "threads"])
def test_a_call_is_part_of_its_callers_trace(function: swell.Function[..., tuple[str, str]]) -> None:
    assert function.remote() == (TRACE, "red")
    assert set(function.map(range(20))) == {(TRACE, "red")}
    assert function.spawn().get() == (TRACE, "red")


@pytest.mark.usefixtures("in_a_trace")
@pytest.mark.parametrize("function", [t.items, t.async_items], ids=["plain", "async"])
def test_a_generator_is_part_of_its_callers_trace(function: swell.Function[..., tuple[str, str]]) -> None:
    assert list(function.remote_gen()) == [(TRACE, "red")]


def test_who_has_no_trace_begins_none_and_one_input_does_not_leave_its_own_to_the_next() -> None:
    token = context.attach(baggage.set_baggage("color", "blue"))
    assert t.plain.remote() == (NO_TRACE, "blue")
    context.detach(token)
    for function in (t.plain, t.asynchronous, t.threaded):
        assert function.remote() == (NO_TRACE, None)


@pytest.mark.usefixtures("in_a_trace")
def test_baggage_that_is_too_large_stays_behind_and_the_trace_goes_on() -> None:
    large = baggage.set_baggage("color", "x" * 3_000, baggage.set_baggage("taste", "y" * 3_000))
    token = context.attach(large)
    assert t.plain.remote() == (TRACE, None)
    context.detach(token)


def test_a_state_that_is_too_large_stays_behind_and_the_trace_goes_on() -> None:
    state = TraceState([(f"vendor{number}", "x" * 250) for number in range(32)])
    span = NonRecordingSpan(SpanContext(int(TRACE, 16), 1, False, TraceFlags(1), state))
    token = context.attach(trace.set_span_in_context(span))
    assert t.plain.remote() == (TRACE, None)
    context.detach(token)


def test_a_call_is_a_span_of_its_own_named_after_the_function() -> None:
    assert t.spans.remote(PARENT) == [("spans", "SERVER", TRACE)]


def test_a_span_of_the_callers_own_is_the_parent() -> None:
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("outer") as outer:
        trace_id, _ = t.plain.remote()
    assert trace_id == f"{outer.get_span_context().trace_id:032x}"


def test_a_program_without_opentelemetry_does_not_load_it() -> None:
    program = (
        "import sys, swell.sdk.calls.invoke, swell.sdk.calls.tracing as t; "
        "print(t.current_trace(), 'opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["{}", "False"]
