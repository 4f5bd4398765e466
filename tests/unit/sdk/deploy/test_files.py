"""Files are collected by name and size, bounded before they are read, and told when they are not to be had."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from swell.errors import InvalidError
from swell.sdk.declare.ignore import Ignore
from swell.sdk.deploy.files import Files

NOTHING = Ignore()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(files_max: int = 100, size_max: int = 10_000) -> Files:
    return Files(files_max, size_max)


def write(*paths: str, text: str = "") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or str(path))


def contents(collected: Files) -> dict[str, bytes]:
    return {path: collected.contents(path) for path in collected}


def test_a_tree_without_what_does_not_travel() -> None:
    write("p/__init__.py", "p/a/data.bin", "p/no_suffix", "p/a/b/c.txt", "p/pyvenv.cfg")
    write("p/.git/config", "p/.hidden", "p/__pycache__/a.pyc", "p/old.pyc", "p/old.pyo", "p/a/.cache/x")
    write("p/venv/pyvenv.cfg", "p/venv/lib/m.py")
    collected = files()
    collected.put_tree("in/p", "p", Ignore(["a/b"]))
    assert sorted(collected) == ["in/p/__init__.py", "in/p/a/data.bin", "in/p/no_suffix", "in/p/pyvenv.cfg"]
    assert collected.contents("in/p/a/data.bin") == b"p/a/data.bin"


def test_a_tree_at_the_top() -> None:
    write("d/a.txt", "d/e/b.txt")
    collected = files()
    collected.put_tree("", "d", NOTHING)
    assert contents(collected) == {"a.txt": b"d/a.txt", "e/b.txt": b"d/e/b.txt"}


def test_links_are_followed_and_not_for_ever() -> None:
    write("elsewhere/m.py", "p/a/b/x.py")
    Path("p/linked").symlink_to("../elsewhere")
    Path("p/again").symlink_to("../elsewhere")
    Path("p/file.py").symlink_to("../elsewhere/m.py")
    Path("p/a/b/up").symlink_to("..")
    collected = files()
    collected.put_tree("p", "p", NOTHING)
    assert sorted(collected) == ["p/a/b/x.py", "p/again/m.py", "p/file.py", "p/linked/m.py"]


def test_what_has_no_contents_is_left_out_of_trees_and_refused_alone() -> None:
    write("p/a.py")
    os.mkfifo("p/pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("p/socket")
        collected = files()
        collected.put_tree("p", "p", NOTHING)
    assert list(collected) == ["p/a.py"]
    with pytest.raises(InvalidError, match="p/pipe belongs to the app, and is not a regular file"):
        collected.put("pipe", "p/pipe")


def test_a_link_to_nothing_is_left_out_of_trees_and_refused_alone() -> None:
    write("p/a.py")
    Path("p/link.py").symlink_to("nowhere.py")
    Path("p/data.csv").symlink_to("nowhere/data.csv")
    Path("p/loop").symlink_to("loop")
    collected = files()
    collected.put_tree("p", "p", NOTHING)
    assert list(collected) == ["p/a.py"]
    with pytest.raises(InvalidError, match=r"p/link\.py belongs to the app, and cannot be read: No such file"):
        collected.put("link.py", "p/link.py")


def test_a_file_that_cannot_be_read_is_told() -> None:
    write("p/vanished.py")
    collected = files()
    collected.put("vanished.py", "p/vanished.py")
    Path("p/vanished.py").unlink()
    with pytest.raises(InvalidError, match=r"p/vanished\.py belongs to the app, and cannot be read: No such file"):
        collected.contents("vanished.py")


def test_a_directory_that_cannot_be_read_is_told() -> None:
    with pytest.raises(InvalidError, match=r"gone belongs to the app, and cannot be read: No such file"):
        files().put_tree("p", "gone", NOTHING)


# ---------------------------------------------------------------- bounds


def test_too_large_tells_the_largest_and_what_to_do() -> None:
    write("p/a.bin", text="a" * 5_000)
    write("p/b.bin", text="b" * 4_000)
    write("p/c.bin", text="c" * 1_001)
    with pytest.raises(InvalidError) as told:
        files().put_tree("p", "p", NOTHING)
    text = str(told.value)
    assert text.index("p/a.bin") < text.index("p/b.bin") < text.index("p/c.bin")
    assert "over the limit of" in text
    assert "ignore=" in text
    files().put_tree("p", "p", Ignore(["c.bin"]))


def test_too_large_is_told_before_anything_is_read(here: Path) -> None:
    with open("huge.bin", "wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(InvalidError, match=r"huge\.bin \(1048576\.0 MiB\)"):
        files().put("huge.bin", "huge.bin")


def test_too_many_tells_where_they_are() -> None:
    write(*(f"p/data/{number}" for number in range(9)), "p/a.py", "p/b.py")
    with pytest.raises(InvalidError, match=r"more than 10 source files. Most are in p/data \(9\)"):
        files(files_max=10).put_tree("p", "p", NOTHING)
    files(files_max=11).put_tree("p", "p", NOTHING)


# ---------------------------------------------------------------- two for one place


def test_two_files_for_one_place_are_refused() -> None:
    write("a/m.py", "b/m.py")
    collected = files()
    collected.put("m.py", "a/m.py")
    collected.put("m.py", "a/../a/m.py")
    with pytest.raises(InvalidError, match=r"a/m\.py and b/m\.py would both be m\.py in a container: rename one"):
        collected.put("m.py", "b/m.py")


def test_what_the_user_asked_for_takes_precedence() -> None:
    write("a/m.py", "b/m.py", "c/m.py")
    collected = files()
    collected.put("m.py", "a/m.py", asked=True)
    collected.put("m.py", "b/m.py")
    collected.put_tree("", "c", NOTHING)
    assert contents(collected) == {"m.py": b"a/m.py"}
    with pytest.raises(InvalidError, match="would both be"):
        collected.put_tree("", "c", NOTHING, asked=True)


def test_of_two_trees_for_one_place_the_first_wins() -> None:
    write("a/ns/m.py", "b/ns/m.py", "b/ns/n.py")
    collected = files()
    collected.put_tree("ns", "a/ns", NOTHING)
    collected.put_tree("ns", "b/ns", NOTHING)
    assert contents(collected) == {"ns/m.py": b"a/ns/m.py", "ns/n.py": b"b/ns/n.py"}
