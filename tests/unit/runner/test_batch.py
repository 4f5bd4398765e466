"""A batch turns scalars into lists and back; what does not fit fails alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swell.errors import DeserializationError, InvalidError
from swell.model import DeliveryMode, OutputStatus
from swell.runner.batch import Batch
from swell.runner.entry import EntryPoint
from swell.runner.in_flight import Delivery
from swell.runner.outbox import Outbox
from swell.runner.result_codec import TERMINATED, Outcome, ResultCodec
from swell.wire import payload
from swell.wire.messages import Deliver
from swell.wire.shelf import Shelf

SUCCESS, FAILURE = int(OutputStatus.SUCCESS), int(OutputStatus.FAILURE)

Call = tuple[tuple[Any, ...], dict[str, Any]]


def batch_of(function: Callable[..., Any], *calls: Call | bytes) -> Batch:
    chunks = [call if isinstance(call, bytes) else payload.encode_arguments(*call) for call in calls]
    ends = [sum(map(len, chunks[: i + 1])) for i in range(len(chunks))]
    message = Deliver(delivery=1, mode=DeliveryMode.BATCH, method="", parts=[("fc-1", 0, len(chunks))], ends=ends)
    delivery = Delivery(message, b"".join(chunks))
    return Batch(
        EntryPoint("", function),
        ResultCodec("ta-0", 1 << 20, Shelf("/nonexistent"), 1 << 30),
        delivery,
        range(len(chunks)),
    )


def error_of(outcome: Outcome) -> BaseException:
    assert outcome[0] == FAILURE
    return payload.decode_exception(outcome[1])


def two(x: Any, y: Any) -> None: ...


def test_positional_and_keyword_arguments_mix() -> None:
    batch = batch_of(two, ((1, 2), {}), ((3,), {"y": 4}), ((), {"y": 6, "x": 5}))
    assert batch.gather() == ([], {"x": [1, 3, 5], "y": [2, 4, 6]})
    assert batch.outcomes == {}


def test_positional_only_parameters_stay_positional() -> None:
    def f(x: Any, /, *, y: Any) -> None: ...

    assert batch_of(f, ((1,), {"y": 2}), ((3,), {"y": 4})).gather() == ([[1, 3]], {"y": [2, 4]})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (((1, 2, 3), {}), "takes 2 positional arguments, but one invocation in the batch has 3"),
        (((1,), {}), "misses the argument 'y'"),
        (((1,), {"z": 1}), "unexpected keyword argument 'z'"),
        (((1, 2), {"x": 1}), "multiple values for argument 'x'"),
    ],
)
def test_ill_formed_calls_fail_alone(call: Call, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    batch = batch_of(two, ((1, 2), {}), call, ((3, 4), {}))
    assert batch.gather() == ([], {"x": [1, 3], "y": [2, 4]})
    batch.spread(["a", "b"])
    error = error_of(batch.outcomes[1])
    assert isinstance(error, InvalidError)
    assert text in str(error)
    assert [payload.loads(batch.outcomes[i][1]) for i in (0, 2)] == ["a", "b"]
    assert text in capsys.readouterr().err


def test_unreadable_calls_fail_alone() -> None:
    batch = batch_of(two, b"garbage")
    assert batch.gather() is None
    assert isinstance(error_of(batch.outcomes[0]), DeserializationError)


@pytest.mark.parametrize("value", [(1, 2), "ab", None, {1: 2}])
def test_result_must_be_a_list(value: Any) -> None:
    batch = batch_of(two, ((1, 2), {}), ((1, 2), {}))
    batch.gather()
    with pytest.raises(InvalidError, match="must be a list"):
        batch.spread(value)


def test_result_must_have_the_length_of_what_was_well_formed() -> None:
    batch = batch_of(two, ((1, 2), {}), ((1,), {}), ((1, 2), {}))
    batch.gather()
    with pytest.raises(InvalidError, match="equal length to the batch, but it returned 3 results for 2 calls"):
        batch.spread([1, 2, 3])


def test_report_prefers_override_then_own_then_rest() -> None:
    batch = batch_of(two, ((1, 2), {}), b"garbage", ((1, 2), {}))
    batch.gather()
    outbox = Outbox()
    batch.report(outbox, None, TERMINATED, 0.3)
    message, _ = outbox.message()
    assert message.failures == [(0, TERMINATED[0]), (1, FAILURE), (2, TERMINATED[0])]
    assert message.busy_s == pytest.approx(0.3)
    outbox = Outbox()
    batch.report(outbox, TERMINATED, (SUCCESS, b"", False), 0.3)
    assert [status for _, status in outbox.message()[0].failures] == [TERMINATED[0]] * 3
