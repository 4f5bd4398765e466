"""Packed items: any part, packed anew or shared, holds the items that it should."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from swell.items import PackedItems, concat, pack

Item = tuple[bytes, bool, int]
ITEMS = st.lists(st.tuples(st.binary(max_size=5), st.booleans(), st.sampled_from([1, 2, 5])), max_size=12)


def packed(items: list[Item]) -> PackedItems[bytes]:
    return pack(
        [data for data, _, _ in items],
        blobs=[i for i, (_, is_blob, _) in enumerate(items) if is_blob],
        failures=[(i, status) for i, (_, _, status) in enumerate(items) if status != 1],
    )


def unpacked(items: PackedItems[Any]) -> list[Item]:
    """Read items one by one, as their receiver does."""
    failures = dict(items.failures)
    return [(bytes(items.at(i)), i in items.blobs, failures.get(i, 1)) for i in range(len(items))]


@given(ITEMS)
def test_what_is_packed_is_read_back(items: list[Item]) -> None:
    assert unpacked(packed(items)) == items
    assert packed(items).pieces() == [data for data, _, _ in items]


@given(ITEMS, st.data())
def test_any_part_holds_its_items(items: list[Item], data: st.DataObject) -> None:
    whole = packed(items)
    start = data.draw(st.integers(0, len(items)))
    stop = data.draw(st.integers(start, len(items)))
    part = whole.view(start, stop - start)
    assert unpacked(part) == unpacked(whole.slice(start, stop - start)) == items[start:stop]
    assert whole.pieces(start, stop) == part.pieces() == [item for item, _, _ in items[start:stop]]
    assert whole.slice(start, stop - start).base == 0


@given(ITEMS, st.data())
def test_a_part_of_a_part_is_a_part(items: list[Item], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(items)))
    part = packed(items).view(first, len(items) - first)
    start = data.draw(st.integers(0, len(part)))
    count = data.draw(st.integers(0, len(part) - start))
    wanted = items[first + start : first + start + count]
    assert unpacked(part.view(start, count)) == unpacked(part.slice(start, count)) == wanted


@given(st.lists(ITEMS, max_size=4), st.data())
def test_parts_are_joined_in_order(parts: list[list[Item]], data: st.DataObject) -> None:
    cut: list[PackedItems[Any]] = []
    for items in parts:
        before = data.draw(st.integers(0, 2))  # some of them keep the offsets of a whole
        cut.append(packed([(b"x", True, 2)] * before + items).view(before, len(items)))
    assert unpacked(concat(cut)) == [item for items in parts for item in items]


def test_a_whole_is_not_copied() -> None:
    items = pack([b"ab", b"c"])
    assert items.view(0, 2) is items
    assert items.slice(0, 2) is items


def test_a_view_shares_the_bytes() -> None:
    items = pack([b"ab", b"c", b"de"])
    part = items.view(1, 2)
    assert part.payload.obj is items.payload
    assert (part.ends, part.base) == ([3, 5], 2)
