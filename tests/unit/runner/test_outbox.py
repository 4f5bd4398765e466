"""Finished results leave as few runs, in the order in which they were added."""

from __future__ import annotations

from swell.model import OutputStatus
from swell.runner.outbox import Outbox

SUCCESS, FAILURE = int(OutputStatus.SUCCESS), int(OutputStatus.FAILURE)


def test_an_empty_outbox() -> None:
    assert Outbox().is_empty


def test_consecutive_positions_are_one_run() -> None:
    outbox = Outbox()
    for position in range(3, 6):
        outbox.add(1, position, SUCCESS, b"x" * position, 0.5)
    message, payload = outbox.message()
    assert message.parts == [(1, 3, 3)]
    assert message.ends == [3, 7, 12]
    assert payload == b"x" * 12
    assert outbox.size == 12
    assert message.busy_s == 1.5
    assert message.failures == message.blobs == []


def test_gaps_and_other_deliveries_begin_new_runs() -> None:
    outbox = Outbox()
    for delivery, position in [(1, 0), (1, 1), (1, 3), (2, 4), (2, 0), (2, 1)]:
        outbox.add(delivery, position, SUCCESS, b"", 0.0)
    assert outbox.message()[0].parts == [(1, 0, 2), (1, 3, 1), (2, 4, 1), (2, 0, 2)]


def test_failures_and_blobs_are_counted_through_all_runs() -> None:
    outbox = Outbox()
    outbox.add(1, 0, SUCCESS, b"a", 0.0)
    outbox.add(1, 5, FAILURE, b"b", 0.0)
    outbox.add(2, 0, SUCCESS, b"c", 0.0, is_blob=True)
    message, _ = outbox.message()
    assert message.failures == [(1, FAILURE)]
    assert message.blobs == [2]
    assert not outbox.is_empty
