"""The journal: what it takes is read back, in order and once, wherever its last write was cut off."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.errors import InvalidError
from swell.private_files import open_file
from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
    Trace,
)
from swell.store.sqlite import journal
from swell.store.sqlite.journal import SUFFIXES, Journal, read_journal, remove_journal

IDENTITY = -(1 << 40)
SEGMENT = 6 * 4_096  #: bytes: six of these tests' frames


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", SEGMENT)
    return str(tmp_path / "swell.db")


@pytest.fixture(params=[True, False], ids=["synced", "not-synced"])
def opened(path: str, request: pytest.FixtureRequest) -> Iterator[Journal]:
    opened = Journal(path, IDENTITY, 0, is_synced=request.param)
    yield opened
    opened.close()


def records(number: int) -> list[Record]:
    """One record of each kind, which tell the number."""
    name = f"fc-{number}"
    return [
        CallRecord(
            call_id=name,
            sequence=number,
            function_id="fu-1",
            function_name="f",
            method="",
            parent="",
            opened_at=0.5,
            accepted=1,
            sealed=True,
        ),
        CallGrown(name, 1 << 40, False),
        SpanRecord(name, 0, [3, 3], b"\x00\xffb", [1]),
        SpansDone(name, [0, number]),
        OutputsRecord(name, 1, 1, [2], b"ou", [(0, 1)], [0], Trace(1.0, None, 2.0, "ta-1")),
        AttemptRecord(name, 1, 2, 3, 0.25),
        CallEnded(name, 2, 7.5),
    ]


def add(opened: Journal, number: int) -> int:
    """Append a frame, and return where it ends; the database is always up to date with the other segment."""
    frame = opened.frame(records(number))
    if not opened.has_room(frame):
        opened.written(opened.last)
        assert opened.turn()
    start = opened._at
    opened.append(frame)
    return start + len(frame)


def found(path: str, written: int = 0, identity: int = IDENTITY) -> list[tuple[int, list[Record]]]:
    return list(read_journal(path, identity, written))


def test_records_of_all_kinds_are_read_back(path: str, opened: Journal) -> None:
    for number in range(1, 4):
        add(opened, number)
    assert opened.last == 3
    assert found(path) == [(number, records(number)) for number in range(1, 4)]
    assert found(path, 2) == [(3, records(3))]
    assert found(path, 3) == []


def test_no_frame_at_all_takes_no_number(path: str, opened: Journal) -> None:
    opened.append(b"")
    assert (opened.last, found(path)) == (0, [])


def test_segments_take_turns(path: str, opened: Journal) -> None:
    for number in range(1, 200):
        add(opened, number)
        known = found(path, opened._written)
        assert [each for each, _ in known] == list(range(opened._written + 1, number + 1))
        assert all(kept == records(each) for each, kept in known)
    assert [os.path.getsize(path + suffix) for suffix in SUFFIXES] == [SEGMENT, SEGMENT]


def test_a_segment_is_not_written_over_before_the_database_has_it(opened: Journal) -> None:
    for number in range(1, 100):
        frame = opened.frame(records(number))
        if not opened.has_room(frame):
            break
        opened.append(frame)
    first = opened.last
    assert opened.turn()
    opened.append(opened.frame(records(1)))
    assert not opened.turn()
    opened.written(first - 1)
    assert not opened.turn()
    opened.written(first)
    assert opened.turn()


@given(st.integers(1, 40), st.integers(0, SEGMENT - 1), st.integers(0, 1 << 32))
def test_what_was_cut_off_or_spoilt_ends_it_and_what_was_before_is_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, at: int, seed: int
) -> None:
    """Bytes from some place on are those of an earlier use of the segment, or anything at all."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(journal, "SEGMENT_BYTES", SEGMENT)
        path = str(tmp_path_factory.mktemp("journal") / "swell.db")
        opened = Journal(path, IDENTITY, 0, is_synced=False)
        before = b""
        ends = dict[int, int]()  # of the frames of the segment that is written
        for number in range(1, count + 1):
            current = opened.path
            if number == count:
                before = Path(current).read_bytes()
            end = add(opened, number)
            if opened.path != current:
                before, ends = Path(opened.path).read_bytes() if number < count else before, {}
            ends[number] = end
        written, name = opened._written, opened.path
        opened.close()
        chance = random.Random(seed)
        spoilt = before[at:] if chance.random() < 0.5 and len(before) == SEGMENT else chance.randbytes(SEGMENT - at)
        whole = Path(name).read_bytes()
        Path(name).write_bytes(now := whole[:at] + spoilt)
        same = next((i for i in range(SEGMENT) if whole[i] != now[i]), SEGMENT)
        kept = [number for number, end in ends.items() if end <= same]
        earlier = [number for number in range(written + 1, count + 1) if number not in ends]
        expected = [number for number in (*earlier, *kept) if number > written]
        assert found(path, written) == [(number, records(number)) for number in expected]


def test_damage_before_whole_frames_is_told(path: str, opened: Journal) -> None:
    """Bytes that the end of the machine has cut off are the last ones; anything else is a disk that forgets."""
    starts = list[int]()
    for number in range(1, 6):
        starts.append(opened._at)
        add(opened, number)
    name, whole = opened.path, Path(opened.path).read_bytes()
    for frame, start in enumerate(starts, start=1):
        for at in (start, start + 9, start + 40):
            spoilt = bytearray(whole)
            spoilt[at] ^= 4
            Path(name).write_bytes(spoilt)
            if frame < 5:
                with pytest.raises(ValueError, match=f"is damaged before frame {frame + 1}"):
                    found(path)
                assert found(path, 5) == []
            else:
                assert len(found(path)) == 4


def test_a_frame_that_needs_several_blocks_is_followed_by_the_next(path: str, opened: Journal) -> None:
    for number in range(1, 3):
        opened.append(opened.frame(records(number) * 15))
        opened.append(opened.frame(records(number)))
    assert [(number, len(kept)) for number, kept in found(path)] == [(1, 105), (2, 7), (3, 105), (4, 7)]


def test_a_file_system_may_know_no_direct_writes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()

    def without(name: str, flags: int) -> int:
        asked.append(flags)
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct writes")
        return open_file(name, flags)

    monkeypatch.setattr(journal, "open_file", without)
    opened = Journal(path, IDENTITY, 0, is_synced=True)
    monkeypatch.undo()
    add(opened, 1)
    opened.close()
    assert all(flags & os.O_DSYNC for flags in asked)
    assert found(path) == [(1, records(1))]


def test_numbers_go_on_where_they_were(path: str, opened: Journal) -> None:
    for number in range(1, 4):
        add(opened, number)
    opened.close()
    again = Journal(path, IDENTITY, 3, is_synced=True)
    add(again, 4)
    again.close()
    assert found(path, 3) == [(4, records(4))]


def test_the_journal_of_another_database_is_none(path: str, opened: Journal) -> None:
    add(opened, 1)
    assert found(path, identity=5) == []


def test_a_database_that_lacks_more_than_the_journal_has_is_told(path: str) -> None:
    opened = Journal(path, IDENTITY, 7, is_synced=False)
    add(opened, 8)
    opened.close()
    with pytest.raises(ValueError, match="frame 6 is missing"):
        found(path, 5)


def test_files_are_private_and_go_with_the_journal(path: str, opened: Journal) -> None:
    assert [os.stat(path + suffix).st_mode & 0o777 for suffix in SUFFIXES] == [0o600, 0o600]
    remove_journal(path)
    remove_journal(path)
    assert not any(os.path.exists(path + suffix) for suffix in SUFFIXES)
    assert found(path) == []


def test_a_link_is_not_followed(path: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"")
    os.symlink(tmp_path / "victim", path + SUFFIXES[1])
    with pytest.raises(InvalidError, match="symbolic link"):
        Journal(path, IDENTITY, 0, is_synced=False)
    with pytest.raises(InvalidError, match="symbolic link"):
        found(path)
    assert not (tmp_path / "victim").read_bytes()
