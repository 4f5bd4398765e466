"""A bundle is named by what is in it, comes back as it was, and can do no harm."""

from __future__ import annotations

import os
import stat
import string
import zlib
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.errors import InvalidError
from swell.wire import bundle

names = st.text(string.ascii_letters + "é_.-", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def is_tree(files: dict[str, bytes]) -> bool:
    """Tell whether a file system could hold them: no file is a directory, too."""
    return not any(other.startswith(f"{path}/") for path in files for other in files)


trees = st.dictionaries(paths, st.binary(max_size=200), max_size=8).filter(is_tree)


def archive_of(value: object) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(value))


@given(trees)
def test_files_come_back_as_they_were(files: dict[str, bytes]) -> None:
    digest, archive = bundle.pack(files)
    assert bundle.unpack(archive) == files
    assert bundle.digest_of(bundle.unpack(archive)) == digest


@given(trees, st.randoms(use_true_random=False))
def test_order_does_not_matter(files: dict[str, bytes], random: Random) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert bundle.pack(dict(shuffled)) == bundle.pack(files)


def test_the_digest_is_what_it_always_was() -> None:
    """Stored versions are found by it."""
    files = {"b/é.txt": b"\0\xff", "app.py": b""}
    assert bundle.digest_of(files) == "1eb418425cf80535df95f55324105d01d74f43e19b3d3ee8df36cada99ddd0c5"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": b"bc"}, {"ab": b"c"}),
        ({"a": b"", "b": b""}, {"a": b"", "c": b""}),
        ({"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"}),
        ({}, {"a": b""}),
    ],
)
def test_other_files_have_another_name(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert bundle.digest_of(one) != bundle.digest_of(other)


# ---------------------------------------------------------------- abuse

ESCAPES = ["/etc/passwd", "..", "../a", "a/../../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "", "a\0b", "//a"]


@pytest.mark.parametrize("path", [*ESCAPES, "a" * 256, "/".join(["long"] * 201)])
def test_a_path_that_leaves_the_bundle_or_has_two_spellings_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cannot be in a bundle"):
        bundle.pack({path: b""})
    with pytest.raises(InvalidError, match="cannot be in a bundle"):
        bundle.unpack(archive_of({path: b""}))
    with pytest.raises(InvalidError, match="cannot be in a bundle"):
        bundle.write({path: b""}, str(tmp_path / "made"))
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_no_utf8_is_told() -> None:
    with pytest.raises(InvalidError, match=r"caf\\udce9.*UTF-8; rename it"):
        bundle.pack({os.fsdecode(b"caf\xe9"): b""})


@pytest.mark.parametrize("path", ["a", "a/b"])
def test_a_file_cannot_be_a_directory(path: str) -> None:
    with pytest.raises(InvalidError, match=f"a file '{path}' and a file 'a/b/c' below it"):
        bundle.unpack(archive_of({path: b"", "a/b/c": b""}))


@given(trees, st.data())
def test_a_damaged_archive_is_refused_or_harmless(files: dict[str, bytes], data: st.DataObject) -> None:
    digest, archive = bundle.pack(files)
    cut = data.draw(st.integers(0, len(archive) - 1))
    with pytest.raises(InvalidError, match="damaged"):
        bundle.unpack(archive[:cut])
    with pytest.raises(InvalidError, match="damaged"):
        bundle.unpack(archive + b"\0")
    changed = bytearray(archive)
    changed[cut] ^= data.draw(st.integers(1, 255))
    try:
        read = bundle.unpack(bytes(changed))
    except InvalidError:
        return
    assert read == files or bundle.digest_of(read) != digest  # some bits of zlib's header mean nothing here


@given(st.binary(max_size=300))
def test_what_was_never_an_archive_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError, match="damaged"):
        bundle.unpack(data)
    with pytest.raises(InvalidError, match=r"damaged|has \d+ files"):
        bundle.unpack(zlib.compress(b"\xdf" + data))


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], "a", None, {1: b""}, {"a": {"b": b""}}])
def test_what_is_something_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidError, match="damaged"):
        bundle.unpack(archive_of(value))


def test_an_archive_that_inflates_without_end_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_PACKED_MAX", 1 << 20)
    bomb = zlib.compress(bytes(16 << 20), 1)
    assert len(bomb) < 1 << 20
    with pytest.raises(InvalidError, match="inflates to more than"):
        bundle.unpack(bomb)


@pytest.mark.parametrize(
    "claim", [b"\xde" + (10_001).to_bytes(2, "big"), b"\xdf" + (10_001).to_bytes(4, "big"), b"\xdf\xff\xff\xff\xff"]
)
def test_files_are_counted_before_they_are_made(claim: bytes) -> None:
    """The count that an archive claims is refused, though nothing follows it that could be read."""
    with pytest.raises(InvalidError, match=r"has \d+ files, over the limit of 10,000"):
        bundle.unpack(zlib.compress(claim))


def test_bounds_hold_for_who_packs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "SIZE_MAX", 100)
    monkeypatch.setattr(bundle, "FILES_MAX", 3)
    with pytest.raises(InvalidError, match=r"101 bytes, over the limit of 100"):
        bundle.pack({"a": bytes(51), "b": bytes(50)})
    with pytest.raises(InvalidError, match=r"4 files, over the limit of 3"):
        bundle.pack(dict.fromkeys("abcd", b""))
    with pytest.raises(InvalidError, match=r"takes 1\d\d bytes, over the limit of 100"):
        bundle.pack({"a": os.urandom(99)})


# ---------------------------------------------------------------- on disk


def test_files_are_laid_out_for_this_user_only(tmp_path: Path) -> None:
    files = {"app.py": b"x = 1", "a/b/c.txt": b"", "a/run.sh": b"#!/bin/sh\n", "a/tool": b"\x7fELF..."}
    bundle.write(files, str(tmp_path / "made"))
    written = {str(path.relative_to(tmp_path / "made")): path for path in (tmp_path / "made").rglob("*")}
    assert {name: path.read_bytes() for name, path in written.items() if path.is_file()} == files
    modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in written.items()}
    plain = dict.fromkeys(("app.py", "a/b/c.txt"), 0o600)
    assert modes == plain | dict.fromkeys(("a", "a/b", "a/run.sh", "a/tool"), 0o700)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    assert os.listdir(tmp_path) == ["made"]


def test_what_is_there_is_complete_and_left_alone(tmp_path: Path) -> None:
    bundle.write({"a": b"first"}, str(tmp_path / "made"))
    bundle.write({"a": b"second"}, str(tmp_path / "made"))
    assert (tmp_path / "made" / "a").read_bytes() == b"first"


def test_who_comes_second_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def overtaken(draft: str, directory: str) -> None:
        monkeypatch.setattr(os, "rename", rename)
        bundle.write({"a": b"faster"}, directory)
        rename(draft, directory)

    monkeypatch.setattr(os, "rename", overtaken)
    bundle.write({"a": b"slower"}, str(tmp_path / "made"))
    assert (tmp_path / "made" / "a").read_bytes() == b"faster"
    assert os.listdir(tmp_path) == ["made"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("in the way")
    with pytest.raises(NotADirectoryError):
        bundle.write({"a": b""}, str(tmp_path / "made"))
    assert os.listdir(tmp_path) == ["made"]
