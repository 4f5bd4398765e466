"""What a script defines is known by its script: it is read where that runs, and told elsewhere."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swell.errors import DeserializationError, ExecutionError
from swell.wire import payload, script

CODE = """
class Point:
    def __init__(self, x): self.x = x
class Failed(Exception):
    def __init__(self, code):
        super().__init__(f"failed with {code}")
        self.code = code
def square(x): return x * x
"""


def program(monkeypatch: pytest.MonkeyPatch, file: Path | None, code: str = CODE) -> Any:
    """Be the process of another program; without a file, a notebook."""
    main = ModuleType("__main__")
    if file is not None:
        main.__file__ = str(file)
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
    exec(code, vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(script.Script, "module", None)
    script._identity_of.cache_clear()
    return main


def container(monkeypatch: pytest.MonkeyPatch, identity: str, code: str = CODE) -> Any:
    """Be a container that has loaded a script."""
    main = program(monkeypatch, None, code)
    main.__file__ = "/elsewhere/in/bundle.py"
    monkeypatch.setattr(script.Script, "module", main)
    monkeypatch.setattr(script.Script, "identity", identity)
    return main


def identity() -> str:
    found = script.identity_here()
    assert found is not None
    return found


def test_values_of_a_script_go_to_its_containers_and_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = program(monkeypatch, tmp_path / "prog.py")
    sent = payload.encode_arguments((client.Point(3), client.square), {})
    who = identity()
    there = container(monkeypatch, who)
    (point, square), _ = payload.decode_arguments(sent)
    assert type(point) is there.Point
    assert square is there.square
    returned = payload.dumps([there.Point(4)])
    data, buffers = payload.dumps_apart([there.Point(4), pickle.PickleBuffer(bytearray(b"abc"))])
    client = program(monkeypatch, tmp_path / "prog.py")
    assert type(payload.loads(returned)[0]) is client.Point
    assert payload.loads(data, [buffer.raw() for buffer in buffers])[0].x == 4


def test_a_script_that_was_edited_or_copied_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = payload.dumps(program(monkeypatch, tmp_path / "prog.py").Point(3))
    program(monkeypatch, tmp_path / "prog.py", CODE + "# edited")
    assert payload.loads(sent).x == 3
    program(monkeypatch, tmp_path / "elsewhere" / "copy.py")
    assert payload.loads(sent).x == 3


def test_a_link_to_a_script_is_that_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = payload.dumps(program(monkeypatch, tmp_path / "prog.py").Point(3))
    (tmp_path / "link.py").symlink_to(tmp_path / "prog.py")
    program(monkeypatch, tmp_path / "link.py", CODE + "# edited")
    assert payload.loads(sent).x == 3


def test_a_container_reads_what_was_meant_for_an_earlier_version_of_its_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent = payload.encode_arguments((program(monkeypatch, tmp_path / "first" / "app.py").Point(3),), {})
    stored = payload.dumps(program(monkeypatch, tmp_path / "first" / "other.py", CODE + "# other").Point(4))
    program(monkeypatch, tmp_path / "second" / "app.py", CODE + "# edited")
    with pytest.raises(DeserializationError, match=r"in the script app\.py"):
        payload.decode_arguments(sent)  # it is a program, which may be another one
    there = container(monkeypatch, identity(), CODE + "# edited")
    (point,), _ = payload.decode_arguments(sent)
    assert type(point) is there.Point
    with pytest.raises(DeserializationError, match=r"in the script other\.py"):
        payload.loads(stored)


@pytest.mark.parametrize("file", ["other.py", None])
def test_another_program_with_a_class_of_that_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str | None
) -> None:
    mine = program(monkeypatch, tmp_path / "prog.py")
    sent = payload.dumps([mine.Point(3)])
    arguments = payload.encode_arguments((mine.Point(3),), {})
    failed = payload.encode_exception(mine.Failed(3), where="ta-0", hide=())
    grouped = payload.encode_exception(ExceptionGroup("g", [mine.Failed(3), ValueError("v")]), where="ta-0", hide=())
    program(monkeypatch, file and tmp_path / file, CODE + "# another")
    said = r"Point is defined in the script prog\.py, which is not the program here: define it in a module"
    with pytest.raises(DeserializationError, match=said):
        payload.loads(sent)
    with pytest.raises(DeserializationError, match=said):
        payload.decode_arguments(arguments)
    told = payload.decode_exception(failed)
    assert isinstance(told, ExecutionError)
    assert "Failed is defined in the script prog.py" in str(told)
    assert "failed with 3" in str(told)
    group = payload.decode_exception(grouped)
    assert isinstance(group, ExceptionGroup)
    assert [type(member) for member in group.exceptions] == [ExecutionError, ValueError]


def test_text_that_looks_like_it_is_only_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path / "prog.py")
    values: list[Any] = ["__main__", ["__main__", "Point"], {"__main__": b"__main__"}, b"__main__"]
    sent = [payload.dumps(value) for value in values]
    program(monkeypatch, tmp_path / "other.py", "")
    assert [payload.loads(data) for data in sent] == values


def test_exceptions_of_a_script_arrive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path / "prog.py")
    who = identity()
    there = container(monkeypatch, who)
    error = there.Failed(3)
    error.__cause__ = there.Failed(4)
    sent = payload.encode_exception(ExceptionGroup("several", [error]), where="ta-0", hide=())
    client = program(monkeypatch, tmp_path / "prog.py")
    group = payload.decode_exception(sent)
    assert isinstance(group, ExceptionGroup)
    assert (type(group.exceptions[0]), str(group.exceptions[0])) == (client.Failed, "failed with 3")
    assert type(group.exceptions[0].__cause__) is client.Failed


def test_what_only_travels_by_value_takes_the_scripts_classes_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(monkeypatch, tmp_path / "prog.py")
    who = identity()
    there = container(monkeypatch, who)
    sent = payload.dumps([lambda: 7, there.Point(3), there.square])
    client = program(monkeypatch, tmp_path / "prog.py")
    seven, point, square = payload.loads(sent)
    assert (seven(), type(point), square) == (7, client.Point, client.square)


def test_a_notebook_sends_by_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = payload.dumps(program(monkeypatch, None).Point(3))
    program(monkeypatch, tmp_path / "other.py", "")
    assert payload.loads(sent).x == 3


def test_a_container_whose_client_did_not_tell_its_script_reads_and_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent = payload.dumps(program(monkeypatch, tmp_path / "prog.py").Point(3))
    there = container(monkeypatch, "")
    assert type(payload.loads(sent)) is there.Point
    returned = payload.dumps(there.Point(4))
    client = program(monkeypatch, tmp_path / "prog.py")
    assert type(payload.loads(returned)) is client.Point


def test_what_an_older_version_stored_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = program(monkeypatch, tmp_path / "prog.py")
    assert type(payload.loads(b"\x80\x05c__swell_main__\nPoint\n(K\x03tR.")) is client.Point
    assert type(payload.loads(b"\x80\x05c__main__\nPoint\n(K\x03tR.")) is client.Point


def test_what_user_code_writes_itself_has_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    there = container(monkeypatch, "1-a:2-b:prog.py")
    assert pickle.loads(pickle.dumps(there.Point(3))).x == 3
    assert script.is_marked(payload.dumps(there.Point(3)))


@pytest.mark.parametrize("data", [b"\0main\0", b"\0main\0\xff\xff", b"\0main\0\x01\0a", b"\0main\0\0\0garbage"])
def test_a_damaged_mark_is_told(data: bytes) -> None:
    with pytest.raises(DeserializationError):
        payload.loads(data)
