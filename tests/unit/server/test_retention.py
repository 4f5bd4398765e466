"""Results are sent to who asks, kept as long as they should be, and have room on the disk."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swell.config import Settings
from swell.engine import events as e
from swell.model import OutputStatus
from swell.records import CallEnded, CallRecord, CallsCancelled, OutputsRecord, Record, SpanRecord
from swell.server.blobs import Blobs
from swell.server.paths import ServerPaths
from swell.server.retention import FORGET_AFTER, MIB, READ_MAX, READ_MIN, Retention
from swell.store.memory.store import MemoryStore
from swell.wire.blob_names import input_name, output_name
from swell.wire.messages import CallDescription, Failed, Outputs

DAY = 86_400.0


class House:
    """Retention over a store that takes its time, and a data directory."""

    def __init__(self, tmp_path: Path, **settings: float) -> None:
        self.answers: list[Callable[[], None]] = []
        self.events: list[e.Event] = []
        self.told: list[e.SendToClient] = []
        self.deleted: list[str] = []
        self.now = 100 * DAY
        self.store = MemoryStore(self.answers.append)
        self.paths = ServerPaths("unix:/nowhere", tmp_path / "run", tmp_path / "data")
        self.paths.make()
        self.kept = tmp_path / "data" / "blobs"
        known = Settings(**{"disk_reserve_bytes": 0, **settings})
        blobs = Blobs(self.paths.blob_dir, self.deleted.append)
        self.unread: list[Callable[[], None]] | None = None  #: what waits for the client to read; None: it reads
        self.retention = Retention(
            store=self.store,
            settings=known,
            paths=self.paths,
            blobs=blobs,
            feed=self.events.append,
            tell=self.tell,
            when_read=self.when_read,
        )

    def when_read(self, client: int, action: Callable[[], None]) -> None:
        assert client == 3
        if self.unread is None:
            action()
        else:
            self.unread.append(action)

    def tell(self, effect: e.Effect) -> None:
        assert isinstance(effect, e.SendToClient)
        self.told.append(effect)

    def keeps(self, *records: Record) -> None:
        for record in records:
            self.store.append(record)

    def answer(self) -> None:
        """Let the store answer what it was asked, and what it is asked because of that."""
        while self.answers:
            self.answers.pop(0)()

    def sends(self, first: int, last: int, *, must_have: int | None = None) -> list[e.SendToClient]:
        self.told.clear()
        self.retention.send(e.SendRecorded(3, "fc-1", first, last, must_have))
        self.answer()
        return list(self.told)

    async def starts(self) -> None:
        self.retention.start(lambda: self.now)
        self.answer()

    def blob(self, name: str) -> Path:
        path = self.paths.blob_dir / name
        path.write_bytes(b"large")
        return path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.retention.stop()


def call(count: int, *, call_id: str = "fc-1", sequence: int = 1) -> CallRecord:
    return CallRecord(
        call_id=call_id,
        sequence=sequence,
        function_id="fu-1",
        function_name="f",
        method="",
        parent="",
        opened_at=1.0,
        accepted=count,
        sealed=True,
    )


def results(first: int, *payloads: bytes, blobs: tuple[int, ...] = (), call_id: str = "fc-1") -> OutputsRecord:
    ends = [sum(map(len, payloads[: i + 1])) for i in range(len(payloads))]
    return OutputsRecord(
        call_id=call_id,
        first=first,
        count=len(payloads),
        ends=ends,
        payload=b"".join(payloads),
        failures=[],
        blobs=list(blobs),
    )


# ---------------------------------------------------------------- results


def test_what_is_recorded_is_sent_as_it_was_told(house: House) -> None:
    house.keeps(
        call(3),
        results(0, b"a", b"bb"),
        OutputsRecord(call_id="fc-1", first=2, count=1, ends=[4], payload=b"oops", failures=[(0, 2)]),
    )
    (told,) = house.sends(0, 3)
    assert told == e.SendToClient(3, Outputs("fc-1", [(0, 1), (1, 1), (2, 1)], [1, 3, 7], [(2, 2)], []), b"abboops")


def test_what_is_large_is_named(house: House) -> None:
    house.keeps(call(2), results(0, b"a", b"kept/fc-1.1.out", blobs=(1,)))
    (told,) = house.sends(0, 2)
    assert told.message.blobs == [1]


def test_of_a_call_that_goes_on_there_may_be_nothing_yet(house: House) -> None:
    house.keeps(call(3), results(1, b"b"))
    assert [told.message.parts for told in house.sends(0, 3)] == [[(1, 1)]]
    assert house.sends(2, 3) == []


def test_of_a_call_that_has_ended_all_must_be_there(house: House) -> None:
    house.keeps(call(2), results(0, b"a", b"b"), CallEnded("fc-1", 2, 5.0))
    assert len(house.sends(0, 2, must_have=9)) == 1
    house.store.expire(6.0, 0.0, 1_000, lambda names: None)
    house.answer()
    (told,) = house.sends(0, 2, must_have=9)
    assert told.message == Failed(9, "output_expired", "results of call fc-1 are no longer kept (result_retention_s)")
    assert house.sends(0, 0, must_have=9) == [], "nothing was asked for, and nothing is missing"


def test_many_large_results_are_many_messages(house: House) -> None:
    """A thousand results of a hundred kilobytes each would be more than any message may have."""
    house.keeps(call(1_000), *(results(index, b"x" * 100_000) for index in range(1_000)))
    told = house.sends(0, 1_000)
    assert max(len(effect.payload) for effect in told) <= MIB
    assert [part for effect in told for part in effect.message.parts] == [(index, 1) for index in range(1_000)]


def test_a_single_result_may_be_larger(house: House) -> None:
    house.keeps(call(3), results(0, b"a", b"x" * (3 * MIB), b"c"))
    assert [len(effect.payload) for effect in house.sends(0, 3)] == [1, 3 * MIB, 1]


def test_very_many_results_are_read_a_part_at_a_time(house: House) -> None:
    house.keeps(call(1_000_000), CallsCancelled(("fu-1",), "why", 5.0))
    house.retention.send(e.SendRecorded(3, "fc-1", 0, 5 * READ_MAX, must_have=9))
    most = 0
    while house.answers:
        house.answers.pop(0)()
        most = max(most, len(house.answers))
    assert most == 1
    counts = [len(told.message.parts) for told in house.told]
    assert sum(counts) == 5 * READ_MAX
    assert counts[:2] == [READ_MIN, READ_MAX], "little at first, since results may be large"
    assert {status for told in house.told for _, status in told.message.failures} == {int(OutputStatus.TERMINATED)}


def test_that_there_is_nothing_more_is_said_after_what_there_is(house: House) -> None:
    house.keeps(call(3), results(0, b"a"))
    nothing_more = CallDescription(9, "fc-1", 3, 1, "f")
    house.retention.send(e.SendRecorded(3, "fc-1", 0, 3, then=nothing_more))
    house.answer()
    outputs, last = (told.message for told in house.told)
    assert isinstance(outputs, Outputs)
    assert last is nothing_more


# ---------------------------------------------------------------- time


async def test_a_server_begins_with_what_there_is(house: House) -> None:
    house.keeps(call(2))
    await house.starts()
    (restored,) = (event for event in house.events if isinstance(event, e.StateRestored))
    assert (restored.state.sequence, restored.state.waiting["fu-1"].inputs) == (1, 2)


async def test_results_are_dropped_with_their_blobs_when_they_have_been_kept_long_enough(tmp_path: Path) -> None:
    house = House(tmp_path, result_retention_s=7 * DAY)
    old, new = house.blob(output_name("fc-1", 0, is_kept=True)), house.blob(output_name("fc-2", 0, is_kept=True))
    for number, (name, ended) in enumerate((("fc-1", 92 * DAY), ("fc-2", 94 * DAY)), start=1):
        house.keeps(
            call(1, call_id=name, sequence=number),
            results(0, output_name(name, 0, is_kept=True).encode(), blobs=(0,), call_id=name),
            CallEnded(name, 1, ended),
        )
    await house.starts()
    assert (old.exists(), new.exists()) == (False, True)
    assert house.sends(0, 1, must_have=9)[0].message.code == "output_expired"
    house.retention.stop()


async def test_a_call_is_remembered_for_longer_than_its_results(tmp_path: Path) -> None:
    house = House(tmp_path, result_retention_s=DAY)
    house.keeps(call(1), results(0, b"a"), CallEnded("fc-1", 1, house.now - (FORGET_AFTER - 1) * DAY))
    await house.starts()
    found: list[object] = []
    house.store.read_call("fc-1", found.append)
    house.answer()
    assert found[0] is not None
    house.store.expire(house.now, house.now - (FORGET_AFTER - 2) * DAY, 1_000, lambda names: None)
    house.store.read_call("fc-1", found.append)
    house.answer()
    assert found[1] is None
    house.retention.stop()


async def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    house = House(tmp_path, result_retention_s=DAY)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    names = (b"../../outside", str(outside).encode(), b"\xff\xfe", b"a\0b")
    house.keeps(call(4), results(0, *names, blobs=(0, 1, 2, 3)), CallEnded("fc-1", 4, 5.0))
    await house.starts()
    assert outside.exists()
    house.retention.stop()


async def test_inputs_that_nobody_needs_any_more_are_tidied_away(house: House) -> None:
    """The former server was killed between a result and the deletion of its input, or before an input was offered."""
    house.keeps(call(2), SpanRecord("fc-1", 0, [1, 2], b"ab"), results(0, b"A"))
    done, waiting = house.blob(input_name("fc-1", 0, is_kept=True)), house.blob(input_name("fc-1", 1, is_kept=True))
    result = house.blob(output_name("fc-1", 0, is_kept=True))
    stray = house.blob(input_name("fc-never", 0, is_kept=True))
    await house.starts()
    assert [path.exists() for path in (done, waiting, result, stray)] == [False, True, True, False]


async def test_what_a_client_writes_while_others_are_looked_up_is_not_tidied_away(house: House) -> None:
    """It had not heard from the former server whether its call was accepted, and so spawns it again."""
    name = input_name("fc-again", 0, is_kept=True)
    house.blob(name)
    house.retention.start(lambda: house.now)
    again = house.blob(f"{name}~")
    again.replace(house.paths.blob_dir / name)
    house.answer()
    assert (house.paths.blob_dir / name).exists()


# ---------------------------------------------------------------- room


def free_bytes(path: Path) -> int:
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


async def test_without_room_the_engine_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swell.server.retention.CHECK_DISK_EVERY_S", 0.0)
    house = House(tmp_path, disk_reserve_bytes=free_bytes(tmp_path) + (1 << 40))
    with caplog.at_level(logging.WARNING, logger="swell.server"):
        await house.starts()
        for _ in range(20):
            await asyncio.sleep(0)
    troubles = [event.why for event in house.events if isinstance(event, e.StoreTroubled)]
    assert len(troubles) == 1
    assert "MiB are kept for results (disk_reserve_bytes): free some space" in troubles[0]
    assert len(caplog.records) == 1
    house.retention.stop()


async def test_with_room_nobody_hears_of_it(house: House) -> None:
    await house.starts()
    assert not any(isinstance(event, e.StoreTroubled) for event in house.events)


async def test_a_stop_can_be_made_twice(house: House) -> None:
    await house.starts()
    house.retention.stop()
    house.retention.stop()


def test_a_client_that_does_not_read_is_read_no_more_for(house: House) -> None:
    house.keeps(call(1_000), CallsCancelled(("fu-1",), "why", 5.0))
    house.unread = []
    house.retention.send(e.SendRecorded(3, "fc-1", 0, 1_000, must_have=9))
    assert not house.answers, "it has much to read already"
    waiting, house.unread = house.unread, []
    waiting[0]()
    house.answer()
    assert [len(told.message.parts) for told in house.told] == [READ_MIN]
    waiting, house.unread = house.unread, None
    waiting[0]()
    house.answer()
    assert sum(len(told.message.parts) for told in house.told) == 1_000


class Unreadable(MemoryStore):
    """A store of which no result can be read."""

    def _outputs(self, call_id: str, first: int, last: int) -> list[Any]:
        raise OSError(5, "Input/output error")


def test_results_that_cannot_be_read_fail_their_question(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.store.__class__ = Unreadable
    house.retention.send(e.SendRecorded(3, "fc-1", 0, 10, must_have=9, request=9))
    house.answer()
    [told] = house.told
    assert isinstance(told.message, Failed)
    assert told.message.request == 9
    assert "Input/output error" in told.message.text


def test_a_blob_that_cannot_be_deleted_is_left(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (house.paths.blob_dir / "fc-1.0.in").mkdir()
    Blobs(house.paths.blob_dir, house.deleted.append).delete("fc-1.0.in")
    assert "a blob cannot be deleted" in caplog.text
