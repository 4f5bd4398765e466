"""When containers are looked at: while there are any, one look at a time, and seldom if a look is dear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from swell.backends.process import memory_watch
from swell.backends.process.memory import LimitedContainer
from swell.backends.process.memory_watch import MemoryWatch, pause_s
from swell.model import MemoryExcess

ONE, TWO = LimitedContainer("ta-1", 10, 100), LimitedContainer("ta-2", 20, 100)
EXCESS = MemoryExcess(200, 100)


@pytest.mark.parametrize(("cost_s", "pause"), [(0.0, 0.25), (0.001, 0.25), (0.01, 0.5), (0.05, 2.5), (1.0, 5.0)])
def test_looking_takes_no_more_than_a_small_share_of_a_core(cost_s: float, pause: float) -> None:
    assert pause_s(cost_s) == pytest.approx(pause)


class Reader:
    """Finds what a test says, and tells what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.over: list[tuple[str, MemoryExcess]] = []
        self.fails = False

    def find(self, watched: Iterable[LimitedContainer]) -> list[tuple[str, MemoryExcess]]:
        self.asked.append([each.container_id for each in watched])
        if self.fails:
            raise ValueError("a kernel of another kind")
        return self.over


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  what is waited for tells nobody
        await asyncio.sleep(0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "PAUSE_MIN_S", 0.0)


@pytest.mark.usefixtures("soon")
async def test_it_looks_while_there_is_something_to_watch_and_reports_what_is_over() -> None:
    reader, heard = Reader(), asyncio.Queue[tuple[str, MemoryExcess]]()
    watch = MemoryWatch(reader.find, lambda *excess: heard.put_nowait(excess))
    await asyncio.sleep(0)
    assert not reader.asked, "there was nothing to look at"
    watch.add(ONE)
    watch.add(TWO)
    reader.over = [("ta-2", EXCESS)]
    assert await heard.get() == ("ta-2", EXCESS)
    watch.close()
    assert all(asked == ["ta-1", "ta-2"] for asked in reader.asked)


@pytest.mark.usefixtures("soon")
async def test_what_is_removed_is_not_reported_though_a_look_found_it() -> None:
    reader, heard = Reader(), asyncio.Queue[tuple[str, MemoryExcess]]()
    watch = MemoryWatch(reader.find, lambda *excess: heard.put_nowait(excess))
    reader.over = [("ta-1", EXCESS), ("ta-2", EXCESS)]
    watch.add(ONE)
    watch.add(TWO)
    watch.remove("ta-1")
    watch.remove("ta-unknown")
    assert (await heard.get())[0] == "ta-2"
    watch.close()
    assert heard.empty()


@pytest.mark.usefixtures("soon")
async def test_it_begins_again_after_there_was_nothing_for_a_while() -> None:
    reader, heard = Reader(), asyncio.Queue[tuple[str, MemoryExcess]]()
    watch = MemoryWatch(reader.find, lambda *excess: heard.put_nowait(excess))
    reader.over = [("ta-1", EXCESS)]
    watch.add(ONE)
    await heard.get()
    watch.remove("ta-1")
    await until(lambda: watch._timer is None and not watch._is_checking)
    watch.add(ONE)
    await heard.get()
    watch.close()


@pytest.mark.usefixtures("soon")
async def test_a_look_that_fails_is_told_and_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_watch, "PAUSE_MAX_S", 0.0)
    reader, heard = Reader(), asyncio.Queue[tuple[str, MemoryExcess]]()
    watch = MemoryWatch(reader.find, lambda *excess: heard.put_nowait(excess))
    reader.fails = True
    watch.add(ONE)
    await until(lambda: bool(caplog.records))
    reader.over, reader.fails = [("ta-1", EXCESS)], False
    await heard.get()
    watch.close()
    assert "a kernel of another kind" in caplog.text
