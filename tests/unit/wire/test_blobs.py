"""Large values as files: what goes in comes out, in place, and nothing else can be read."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import pytest

from swell.errors import DeserializationError, RequestSizeError, SerializationError
from swell.wire import blobs, payload
from swell.wire.blob_names import input_name, output_name
from swell.wire.shelf import Shelf

INLINE_MAX = 1000


class Array:
    """Offers its memory to pickle as numpy's arrays do."""

    def __init__(self, data: bytearray | memoryview) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: object) -> tuple[type[Array], tuple[pickle.PickleBuffer]]:
        return Array, (pickle.PickleBuffer(self.data),)


def pack(value: object, directory: Path, name: str = "fc-1.0.in") -> tuple[bytes, bool]:
    return blobs.pack(value, INLINE_MAX, Shelf(str(directory)), name)


def test_small_values_stay_inline(tmp_path: Path) -> None:
    data, is_blob = pack({"a": 1}, tmp_path)
    assert not is_blob
    assert payload.loads(data) == {"a": 1}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["x" * 5000, b"x" * 5000, list(range(5000)), {"k": bytes(5000)}])
def test_large_values_become_a_file_that_only_its_owner_can_read(tmp_path: Path, value: object) -> None:
    data, is_blob = pack(value, tmp_path)
    assert (data, is_blob) == (b"fc-1.0.in", True)
    assert os.stat(tmp_path / "fc-1.0.in").st_mode & 0o777 == 0o600
    assert blobs.unpack(data, Shelf(str(tmp_path))) == value


def test_the_bound_is_on_the_whole_pickle(tmp_path: Path) -> None:
    exact = INLINE_MAX - len(payload.dumps(b"x" * 500)) + 500
    assert not pack(b"x" * exact, tmp_path)[1]
    assert pack(b"x" * (exact + 1), tmp_path)[1]


def test_small_buffers_stay_inline(tmp_path: Path) -> None:
    data, is_blob = pack([Array(bytearray(b"ab")) for _ in range(3)], tmp_path)
    assert not is_blob
    assert [bytes(array.data) for array in payload.loads(data)] == [b"ab"] * 3


def test_buffers_are_mapped_aligned_writable_and_private(tmp_path: Path) -> None:
    value = [Array(bytearray([i + 1]) * (3000 + i)) for i in range(5)]
    data, _ = pack(value, tmp_path)
    first, second = blobs.unpack(data, Shelf(str(tmp_path))), blobs.unpack(data, Shelf(str(tmp_path)))
    assert [bytes(array.data) for array in first] == [bytes(array.data) for array in value]
    assert all(isinstance(array.data, memoryview) for array in first)  # a view of the file, not a copy
    whole = (tmp_path / "fc-1.0.in").read_bytes()
    assert all(whole.find(bytes(array.data)) % blobs.ALIGNMENT == 0 for array in value)
    first[0].data[0] = 77
    assert second[0].data[0] == 1
    assert (tmp_path / "fc-1.0.in").read_bytes() == whole


def test_more_parts_than_one_system_call_takes(tmp_path: Path) -> None:
    value = [Array(bytearray(b"%04d" % i)) for i in range(2000)]
    data, is_blob = pack(value, tmp_path)
    assert is_blob
    assert [bytes(array.data) for array in blobs.unpack(data, Shelf(str(tmp_path)))] == [
        b"%04d" % i for i in range(2000)
    ]


def test_an_array_outlives_its_file(tmp_path: Path) -> None:
    data, _ = pack(Array(bytearray(b"z") * 9000), tmp_path)
    array = blobs.unpack(data, Shelf(str(tmp_path)))
    blobs.discard(data, Shelf(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    assert bytes(array.data) == b"z" * 9000
    blobs.discard(data, Shelf(str(tmp_path)))  # once more does no harm


def test_a_file_is_replaced_and_never_changed(tmp_path: Path) -> None:
    data, _ = pack(Array(bytearray(b"1") * 9000), tmp_path)
    old = blobs.unpack(data, Shelf(str(tmp_path)))
    pack(Array(bytearray(b"2") * 9000), tmp_path)
    assert bytes(old.data) == b"1" * 9000
    assert bytes(blobs.unpack(data, Shelf(str(tmp_path))).data) == b"2" * 9000
    assert [path.name for path in tmp_path.iterdir()] == ["fc-1.0.in"]


def test_arguments(tmp_path: Path) -> None:
    name = input_name("fc-9", 4)
    assert name == "fc-9.4.in"
    data, _ = blobs.pack(((b"x" * 5000,), {"k": 1}), INLINE_MAX, Shelf(str(tmp_path)), name)
    assert blobs.unpack_arguments(data, Shelf(str(tmp_path))) == ((b"x" * 5000,), {"k": 1})
    data, _ = pack(b"x" * 5000, tmp_path, output_name("fc-9", 4))
    with pytest.raises(DeserializationError, match="arguments of a call"):
        blobs.unpack_arguments(data, Shelf(str(tmp_path)))


def test_too_large_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestSizeError, match=r"over the limit of 2000 \(payload_max\)"):
        blobs.pack(b"x" * 3000, INLINE_MAX, Shelf(str(tmp_path)), "a", size_max=2000)
    assert list(tmp_path.iterdir()) == []


def test_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SerializationError, match="cannot store a value of"):
        blobs.pack(b"x" * 3000, INLINE_MAX, Shelf(str(tmp_path / "missing")), "a")
    (tmp_path / "taken").mkdir()
    with pytest.raises(SerializationError, match="cannot store"):
        blobs.pack(b"x" * 3000, INLINE_MAX, Shelf(str(tmp_path)), "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b"../x",
        b"/etc/passwd",
        b"a/b",
        b"a\0b",
        b".hidden",
        b"~draft",
        b"\xff",
        b"a" * 300,
        b"a\n",
        b"kept",
        b"kept/",
    ],
)
def test_only_plain_names_are_opened(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(DeserializationError, match="is not the name of a blob"):
        blobs.unpack(name, Shelf(str(tmp_path)))
    with pytest.raises(DeserializationError, match="is not the name of a blob"):
        blobs.discard(name, Shelf(str(tmp_path)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 0),
        struct.pack("<Q", 1 << 40),
        struct.pack("<QQ", 5, 1),
        struct.pack("<QQ", 1, 1 << 60),
        struct.pack("<QQ", 1, 10) + bytes(48) + b"short",
    ],
)
def test_damaged_files_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(DeserializationError, match="blob b"):
        blobs.unpack(b"b", Shelf(str(tmp_path)))


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DeserializationError, match="cannot read blob b"):
        blobs.unpack(b"b", Shelf(str(tmp_path)))
