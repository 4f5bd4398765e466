"""What a text imports is read, not run; what a pickle names is found among its strings."""

from __future__ import annotations

import pickle
from pathlib import PurePath

import cloudpickle
import pytest

from swell.sdk.deploy.imports import imported_by, named_in_pickle


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a", {"a"}),
        ("import a.b.c as d, e", {"a.b.c", "e"}),
        ("from a import b, c as d", {"a", "a.b", "a.c"}),
        ("from a.b import *", {"a.b", "a.b.*"}),
        ("from . import b\nfrom .a import b\nfrom .. import c", set()),
        ("def f():\n  async def g():\n    import a", {"a"}),
        ("try:\n  import a\nexcept ImportError:\n  import b", {"a", "b"}),
        ("try: x\nexcept E: import a\nelse: import b\nfinally: import c", {"a", "b", "c"}),
        ("match x:\n  case 1: import a\nwhile 1:\n  with x: import b\nelse: import c", {"a", "b", "c"}),
        ("for x in y: import a\nelse:\n  if x: pass\n  elif y: import b", {"a", "b"}),
        ("class C:\n  if TYPE_CHECKING:\n    import a", {"a"}),
        ("importlib.import_module('a.b')", {"a.b"}),
        ("from importlib import import_module as load, import_module\nx = [import_module('a')]", {"a"}),
        ("__import__('a')", {"a"}),
        ("def f(): return [lambda: load(x).import_module('a') for x in y]\nclass C: import b", {"a", "b"}),
        ("import_module('.b', 'a.c')", {"a.c"}),
        ("import_module(name)\nimport_module('not a name')\nimport_module()\nimport_module(5)", set()),
        ("open('a')\n'import a'\n# import a", set()),
        ("raise SystemExit\nimport a", {"a"}),
        ("# coding: latin-1\nimport caf\xe9", {"caf\xe9"}),
        (r"'\d'", set()),
    ],
)
def test_imports_of_a_text(text: str, names: set[str]) -> None:
    assert imported_by(text.encode("latin-1")) - {"importlib", "importlib.import_module"} == names


@pytest.mark.parametrize("text", [b"import", b"print 'old'\nimport a", b"import a\0", b"\xff", b"(" * 10_000])
def test_a_text_that_is_no_python_imports_nothing(text: bytes) -> None:
    assert imported_by(text) == set()


@pytest.mark.parametrize("protocol", range(6))
def test_modules_of_values_are_named_in_every_kind_of_pickle(protocol: int) -> None:
    names = named_in_pickle(pickle.dumps(PurePath.joinpath if protocol > 3 else PurePath, protocol))
    assert "pathlib" in names


def test_modules_of_functions_that_travel_by_value_are_named() -> None:
    def function() -> object:
        import colorsys
        import xml.dom as inner

        return pickle, colorsys, inner, "words with spaces"

    names = named_in_pickle(cloudpickle.dumps(function))
    assert {"pickle", "colorsys", "xml.dom"} <= names
    assert not any(" " in name for name in names)
