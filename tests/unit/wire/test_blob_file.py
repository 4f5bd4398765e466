"""The file of a blob: there as a whole or not at all, and never longer than its bound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swell.wire import blobs
from swell.wire.blob_file import file_bytes_max, new_blob, open_blob, remove_drafts
from swell.wire.shelf import Shelf


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("to_disk", [False, True])
def test_a_blob_is_there_when_it_is_whole(tmp_path: Path, to_disk: bool) -> None:
    with new_blob(str(tmp_path), "fc-1.0.in", to_disk=to_disk) as fd:
        os.write(fd, b"half")
        assert all(name.startswith("~") for name in names(tmp_path))
    assert names(tmp_path) == ["fc-1.0.in"]
    file = open_blob(str(tmp_path), "fc-1.0.in")
    assert os.read(file, 100) == b"half"
    os.close(file)


def test_what_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "fc-1.0.in").write_bytes(b"former")
    with pytest.raises(KeyboardInterrupt), new_blob(str(tmp_path), "fc-1.0.in", to_disk=False) as fd:
        os.write(fd, b"half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["fc-1.0.in"]
    assert (tmp_path / "fc-1.0.in").read_bytes() == b"former"


def test_drafts_of_the_dead_are_those_of_one_blob(tmp_path: Path) -> None:
    for name in ("~fc-1.0.in.7.8", "~fc-1.0.in.9.9", "~fc-1.0.input.7.8", "~fc-1.1.in.7.8", "fc-1.0.in"):
        (tmp_path / name).touch()
    remove_drafts(str(tmp_path), "fc-1.0.in")
    assert names(tmp_path) == ["fc-1.0.in", "~fc-1.0.input.7.8", "~fc-1.1.in.7.8"]


@pytest.mark.parametrize("count", [1, 2, 1_000])
def test_the_bound_of_a_file_holds_for_the_most_wasteful_values(tmp_path: Path, count: int) -> None:
    parts = [memoryview(b"x")] * count
    blobs.store(parts, Shelf(str(tmp_path)), "fc-1.0.in", size_max=count)
    assert (tmp_path / "fc-1.0.in").stat().st_size <= file_bytes_max(count)
