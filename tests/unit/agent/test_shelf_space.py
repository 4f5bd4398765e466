"""The room on a node's shelf: reserved before it is used, and made by copies, the one asked for longest ago first."""

from __future__ import annotations

from pathlib import Path

import pytest

from swell.agent.shelf_space import ShelfFull, ShelfSpace


class Shelf:
    """A space of 100 bytes, and the files in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.space = ShelfSpace(str(directory), 100)

    def copy(self, name: str, size: int) -> None:
        with self.space.reserve(size) as reservation:
            (self.directory / name).write_bytes(bytes(size))
            reservation.keep(name)

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_copies_stay_while_there_is_room_and_the_oldest_goes_first(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.copy(name, 30)
    assert shelf.names == ["a", "b", "c"]
    shelf.copy("d", 30)
    assert shelf.names == ["b", "c", "d"]
    shelf.copy("e", 70)
    assert shelf.names == ["d", "e"]


def test_a_copy_that_was_asked_for_again_goes_later(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.copy(name, 30)
    copy = shelf.space.pin("a")
    assert copy is not None
    shelf.space.unpin(copy)
    shelf.copy("d", 30)
    assert shelf.names == ["a", "c", "d"]


def test_a_copy_that_is_about_to_be_opened_stays(shelf: Shelf) -> None:
    shelf.copy("a", 60)
    copy = shelf.space.pin("a")
    assert copy is not None
    with pytest.raises(ShelfFull, match=r"50 bytes are needed, 60 of 100 \(node_blob_bytes_max\) are in use"):
        shelf.copy("b", 50)
    shelf.space.unpin(copy)
    shelf.copy("b", 50)
    assert shelf.names == ["b"]
    assert shelf.space.pin("a") is None


def test_what_is_reserved_is_there_for_nobody_else_until_it_is_over(shelf: Shelf) -> None:
    shelf.copy("a", 30)
    with shelf.space.reserve(80):
        assert shelf.names == []
        with pytest.raises(ShelfFull), shelf.space.reserve(30):
            pytest.fail("there is no room")
        with shelf.space.reserve(20):
            pass
    shelf.copy("b", 100)
    assert shelf.names == ["b"]


def test_more_than_the_shelf_may_ever_hold_is_refused_at_once_and_costs_no_copy(shelf: Shelf) -> None:
    shelf.copy("a", 30)
    with pytest.raises(ShelfFull, match="101 bytes are more than the shelf of this node may hold: 100"):
        shelf.copy("b", 101)
    assert shelf.names == ["a"]


def test_a_full_disk_is_told_with_its_numbers(tmp_path: Path) -> None:
    space = ShelfSpace(str(tmp_path), 1 << 62)
    with pytest.raises(ShelfFull, match=rf"\d+ are free in {tmp_path}"), space.reserve(1 << 61):
        pytest.fail("there is no such disk")


def test_a_copy_that_is_replaced_or_removed_counts_no_more(shelf: Shelf) -> None:
    shelf.copy("a", 60)
    shelf.copy("a", 40)
    shelf.copy("b", 60)
    assert shelf.names == ["a", "b"]
    shelf.space.remove("b")
    shelf.space.remove("b")
    shelf.space.remove("never there")
    assert shelf.names == ["a"]
    shelf.copy("c", 60)
    assert shelf.names == ["a", "c"]


def test_a_copy_that_is_removed_and_fetched_again_while_it_is_opened_can_go_later(shelf: Shelf) -> None:
    shelf.copy("a", 60)
    copy = shelf.space.pin("a")
    assert copy is not None
    shelf.space.remove("a")
    shelf.copy("a", 60)
    shelf.space.unpin(copy)
    shelf.copy("b", 60)
    assert shelf.names == ["b"]
