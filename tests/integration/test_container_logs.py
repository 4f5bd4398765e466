"""What containers wrote: kept within bounds of size and time, read back, and followed until nothing more can come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.server.container_logs import CHUNKS_MAX, EXPIRE_EVERY_S, ContainerLogs, LogChunk, LogFilter, LogFollower

BEGAN = 1_800_000_000.0
KEEP_S = 7 * 86_400.0


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[ContainerLogs]:
    found = ContainerLogs(tmp_path, 20_000, KEEP_S)
    yield found
    found.close()


def entry(text: str, *, app: str = "ap-1", container: str = "ta-1", at: float = BEGAN) -> LogChunk:
    return LogChunk(at=at, app_id=app, function="f", container_id=container, stream="stdout", text=f"{text}\n")


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


async def texts(logs: ContainerLogs, wanted: LogFilter) -> list[str]:
    return [found.text.strip() async for piece in logs.read(wanted) for found in piece]


async def test_entries_are_read_back_by_app_and_in_order(logs: ContainerLogs) -> None:
    for text, app in (("one", "ap-1"), ("two", "ap-2"), ("three", "ap-1")):
        logs.write(entry(text, app=app))
    assert await texts(logs, LogFilter("ap-1")) == ["one", "three"]
    assert await texts(logs, LogFilter("ap-1", tail=1)) == ["three"]
    assert await texts(logs, LogFilter("ap-3")) == []


async def test_what_is_kept_of_an_app_is_bounded_and_the_oldest_goes_first(logs: ContainerLogs, tmp_path: Path) -> None:
    for number in range(1_000):
        logs.write(entry(f"line {number}"))
    kept = await texts(logs, LogFilter("ap-1"))
    assert kept[-1] == "line 999"
    assert kept == [f"line {number}" for number in range(1_000 - len(kept), 1_000)]
    assert 10_000 < size(tmp_path) < 21_000


async def test_files_that_nothing_was_written_to_for_long_are_dropped(logs: ContainerLogs, tmp_path: Path) -> None:
    for app in ("ap-old", "ap-new"):
        logs.write(entry("kept", app=app))
    os.utime(tmp_path / "ap-old.jsonl", (BEGAN, BEGAN))
    os.utime(tmp_path / "ap-new.jsonl", (BEGAN + 10, BEGAN + 10))
    logs.write(entry("much later", app="ap-2", at=BEGAN + KEEP_S + 5))
    assert await texts(logs, LogFilter("ap-old")) == []
    assert await texts(logs, LogFilter("ap-new")) == ["kept"]
    logs.write(entry("again", app="ap-old", at=BEGAN + KEEP_S + 6))
    assert await texts(logs, LogFilter("ap-old")) == ["again"]


async def test_they_are_not_looked_for_with_every_entry(logs: ContainerLogs, tmp_path: Path) -> None:
    logs.write(entry("first"))
    logs.write(entry("kept", app="ap-old"))
    os.utime(tmp_path / "ap-old.jsonl", (0, 0))
    logs.write(entry("soon", at=BEGAN + EXPIRE_EVERY_S - 1))
    assert await texts(logs, LogFilter("ap-old")) == ["kept"]
    logs.write(entry("later", at=BEGAN + EXPIRE_EVERY_S))
    assert await texts(logs, LogFilter("ap-old")) == []


def test_who_follows_sees_what_is_wanted_until_nothing_more_can_come(logs: ContainerLogs) -> None:
    seen: list[str] = []
    for number, wanted in enumerate((LogFilter("ap-1"), LogFilter("ap-1", "ta-2"), LogFilter("ap-2"))):

        def show(shown: LogChunk, number: int = number) -> None:
            seen.append(f"{number}: {shown.text.strip()}")

        def end(number: int = number) -> None:
            seen.append(f"{number} ends")

        logs.follow(number, LogFollower(wanted, show, end))
    logs.write(entry("one"))
    logs.write(entry("two", container="ta-2"))
    logs.ended("ap-1", "ta-2")
    logs.write(entry("three", container="ta-2"))
    logs.leave(2)
    logs.ended("ap-2")
    logs.ended("ap-1")
    assert seen == ["0: one", "0: two", "1: two", "1 ends", "0: three", "0 ends"]
    assert not any(logs.has_follower(number) for number in range(3))


def test_a_full_disk_ends_nothing(
    logs: ContainerLogs, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.write(entry("while there is room", app="ap-2"))
    monkeypatch.setattr("swell.server.container_logs.open_file", lambda _path, flags: os.open("/dev/full", flags))
    for text in ("one", "two"):
        logs.write(entry(text))
    assert [record.getMessage() for record in caplog.records] == [
        f"what containers write cannot be kept in {tmp_path}: [Errno 28] No space left on device"
    ]
    logs.close()


async def test_the_latest_are_as_many_as_were_asked_for_though_more_is_written_meanwhile(tmp_path: Path) -> None:
    logs = ContainerLogs(tmp_path, 1 << 20, KEEP_S)
    for number in range(CHUNKS_MAX + 50):
        logs.write(entry(f"line {number}"))
    pieces = logs.read(LogFilter("ap-1", tail=CHUNKS_MAX + 10))
    found = await anext(pieces)
    logs.write(entry("too late"))
    found += [each async for piece in pieces for each in piece]
    assert [each.text.strip() for each in found] == [f"line {number}" for number in range(40, CHUNKS_MAX + 50)]
    logs.close()
