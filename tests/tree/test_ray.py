"""Ray is loaded by one module, which one process loads: to all others it would be 240 MiB of threads and memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent.parent / "src"
LOADS_RAY = "swell/backends/ray/cluster.py"
LOADS_THAT = "swell/backends/ray/broker.py"

#: Calls that load a module by its name, or look for it, which loads what it lies in.
LOADING = {"import_module", "__import__", "find_spec", "run_module", "resolve_name", "lazy_import", "require"}


def imports(source: str) -> Iterator[str]:
    """Iterate over the modules that a source imports by name, in whatever way."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names)
            case ast.ImportFrom(str(module), names):
                yield module
                yield from (f"{module}.{each.name}" for each in names)
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), arguments) if name in LOADING:
                yield from _texts(arguments)
            case _:
                pass


def _texts(arguments: list[ast.expr]) -> Iterator[str]:
    for each in arguments:
        match each:
            case ast.Constant(str(text)):
                yield text
            case ast.JoinedStr([ast.Constant(str(text)), *_]):  # f"ray.{name}"
                yield text
            case _:
                pass


def importing(*modules: str) -> set[str]:
    """Return the files that import one of these modules, or what lies in them."""
    return {
        str(path.relative_to(SRC))
        for path in SRC.rglob("*.py")
        if any(name == each or name.startswith(f"{each}.") for name in imports(path.read_text()) for each in modules)
    }


def test_one_module_loads_ray() -> None:
    assert importing("ray") == {LOADS_RAY}


def test_one_module_loads_the_one_that_loads_ray() -> None:
    assert importing("swell.backends.ray.cluster") == {LOADS_THAT}


def test_the_ways_of_loading_a_module_are_recognized() -> None:
    ways = (
        "import ray.util as x",
        "from ray import util",
        "importlib.import_module('ray')",
        "import_module('ray._private.services')",
        "__import__('ray')",
        "importlib.util.find_spec('ray.util')",
        "pkgutil.resolve_name('ray.util:x')",
        "import_module(f'ray.{name}')",
    )
    assert [way for way in ways if not any(name.split(".")[0] == "ray" for name in imports(way))] == []
    assert set(imports("array = 'ray'; print('ray')")) == set()
