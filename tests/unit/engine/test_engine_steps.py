"""An event takes as many steps however much else there is: other calls, functions, apps and clients."""

from __future__ import annotations

from functools import partial

import pytest
from steps import steps_of

from swell.engine.events import ClientMessage, Event
from swell.model import AutoscalerChange
from swell.wire import messages as m


def calls_with_more_in_the_store_than_memory_has_room_for(diary, size: int) -> Event:
    diary.opens(max_containers=1)
    for number in range(size):
        diary.spawns(f"fc-{number}", size=200, sealed=False)
        diary.puts(f"fc-{number}", 1, 3)
    return update(diary)


def update(diary) -> Event:
    """Have a pool looked at again."""
    return ClientMessage(1, m.UpdateAutoscaler(8, diary.function(), AutoscalerChange(scaledown_window=9)))


@pytest.mark.parametrize(
    "surroundings",
    [
        calls_with_more_in_the_store_than_memory_has_room_for,
    ],
    ids=lambda surroundings: surroundings.__name__,
)
def test_it_takes_as_many_steps_with_many_as_with_few(new_diary, surroundings) -> None:
    few, many = (steps_in(new_diary(backlog_bytes_max=1_024), surroundings, size) for size in (20, 200))
    assert many < 1.2 * few + 50, f"{few} steps with 20 of them, {many} with 200"


def steps_in(diary, surroundings, size: int) -> int:
    event = surroundings(diary, size)
    return steps_of(partial(diary.engine.handle, event, diary.now))
