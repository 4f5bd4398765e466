"""A container's script is its `__main__`, and its guard at the top level does not come true, however it is written."""

from __future__ import annotations

import dataclasses
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swell.runner.script import MAIN, load_script
from swell.wire import script


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(script.Script, "module", None)
    monkeypatch.setattr(script.Script, "identity", "")
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(folder: Path, text: str) -> Any:
    file = folder / "prog.py"
    file.write_text(text)
    return load_script(str(file), "", "1-a:2-b:prog.py")


PLAIN = """
class Point:
    class Inner: pass
    where = __name__
    def __init__(self, x=1): self.x = x
def f(): return __name__
g = lambda: 0
"""
#: Ways of asking whether this is the program; each with others that use `__name__` for something else.
GUARDS = [
    'if __name__ == "__main__": raise SystemExit',
    'if "__main__" == __name__: raise SystemExit',
    'if not __name__ != "__main__": raise SystemExit',
    'if __name__ in ("__main__", "__mp_main__"): raise SystemExit',
    'name = __name__\nif name == "__main__": raise SystemExit',
    'if __name__.startswith("__main"): raise SystemExit',
    'if {"__main__": True}.get(__name__): raise SystemExit',
    'try:\n    if __name__ == "__main__": raise SystemExit\nfinally: pass',
    'with open(__file__): \n    if __name__ == "__main__": raise SystemExit',
]
USES = ["", "print(f.__name__)", "x = [f.__name__ for _ in range(2)]", "f.__name__ = 'g'"]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("guard", GUARDS)
def test_the_guard_does_not_come_true_and_what_is_defined_belongs_to_main(tmp_path: Path, guard: str, use: str) -> None:
    module = load(tmp_path, f"{PLAIN}\n{use}\n{guard}\nlast = 3")
    assert sys.modules["__main__"] is module
    assert (module.Point.__module__, module.Point.Inner.__module__, module.Point.where) == ("__main__",) * 3
    assert (module.f.__module__, module.g.__module__, module.f(), module.last) == (
        "__main__",
        "__main__",
        "__main__",
        3,
    )
    assert pickle.loads(pickle.dumps(module.Point(7))).x == 7
    assert pickle.loads(pickle.dumps(module.f)) is module.f
    assert "__swell_name__" not in vars(module)


@pytest.mark.parametrize("use", USES)
def test_the_top_level_is_otherwise_as_in_a_program(tmp_path: Path, use: str) -> None:
    module = load(
        tmp_path,
        f"""{PLAIN}
{use}
import dataclasses, collections, sys
count = 0
def add():
    global count
    count += 1
add()
add()
twice = count
total = sum(count for _ in range(3))
here = sorted(name for name in locals() if not name.startswith("_"))
shown = "{{count}} {{twice}}".format(**locals())
locals()["put"] = 1
sees_itself = sys.modules[__name__].count
gone = 1
del gone
known: int = 3
from os.path import *
exec("made = __name__")
Pair = collections.namedtuple("Pair", "a b")
@dataclasses.dataclass
class Data:
    x: int = 3
""",
    )
    assert (module.count, module.twice, module.total, module.put, module.sees_itself) == (2, 2, 6, 1, 2)
    assert {"count", "f", "Point"} <= set(module.here)
    assert module.shown == "2 2"
    assert not hasattr(module, "gone")
    assert module.__annotations__ == {"known": "int"} or module.__annotations__ == {"known": int}
    assert module.join("a", "b") == "a/b"
    assert (module.Pair.__module__, module.Data.__module__) == ("__main__", "__main__")
    assert dataclasses.replace(module.Data(), x=4).x == 4
    assert module.__spec__ is None
    assert module.__file__ == str(tmp_path / "prog.py")


def test_a_script_with_many_names(tmp_path: Path) -> None:
    """Their numbers need more than a byte."""
    names = "\n".join(f"name_{number} = {number}" for number in range(700))
    module = load(tmp_path, f"{names}\n{PLAIN}\nif __name__ == '__main__': raise SystemExit\nread = __name__")
    assert (module.name_699, module.read, module.f()) == (699, MAIN, "__main__")


def test_what_workers_of_multiprocessing_return_is_of_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])  # as its import has left it
    module = load(tmp_path, PLAIN)
    assert type(pickle.loads(b"\x80\x05c__mp_main__\nPoint\n(K\x03tR.")) is module.Point


def test_a_script_that_fails_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = sys.modules["__main__"]
    with pytest.raises(LookupError):
        load(tmp_path, "raise LookupError")
    assert sys.modules["__main__"] is before
    assert MAIN not in sys.modules
    assert script.Script.module is None


def test_a_script_without_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "prog").write_text("class C: pass\nif __name__ == '__main__': raise SystemExit")
    assert load_script(str(tmp_path / "prog"), "", "").C.__module__ == "__main__"


def test_a_module_that_was_run_as_the_program_can_be_imported_by_its_spec(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "near.py").write_text("value = 5")
    (tmp_path / "pack" / "prog.py").write_text("from .near import value")
    module: Any = load_script(str(tmp_path / "pack" / "prog.py"), "pack", "")
    assert (module.value, module.__package__, module.__spec__.name) == (5, "pack", "pack.prog")


def test_it_is_a_module(tmp_path: Path) -> None:
    assert type(load(tmp_path, "")) is types.ModuleType
