"""The user's code is found where the client found it, under the name the client knows."""

from __future__ import annotations

import copy
import email.message
import email.parser
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from swell.errors import DeserializationError, InvalidError
from swell.model import Environment, FunctionSpec, Resources, Source
from swell.runner import loader, script
from swell.wire.script import Script


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    modules, path, cwd, environ = dict(sys.modules), list(sys.path), os.getcwd(), dict(os.environ)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(Script, "module", None)
    monkeypatch.setattr(Script, "identity", "")
    finders = list(sys.meta_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)
    sys.path[:] = path
    sys.meta_path[:] = finders
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)


def spec(**fields: Any) -> FunctionSpec:
    return FunctionSpec("f", Source("os", "getcwd"), **fields)


def test_environment_is_entered(tmp_path: Path) -> None:
    before = list(sys.path)
    environment = Environment(
        sys.executable,
        str(tmp_path),
        (str(tmp_path), before[-1]),
        {"A": "client", "B": "client"},
        raw_variables=((b"ODD\xfe", b"\xff"),),
    )
    loader.enter_environment(environment, spec(variables={"B": "spec", "C": "spec"}), {"C": "container"})
    assert (os.environ["A"], os.environ["B"], os.environ["C"]) == ("client", "spec", "container")
    assert os.environb[b"ODD\xfe"] == b"\xff"
    assert os.getcwd() == str(tmp_path)
    assert sys.path[:2] == [str(tmp_path), before[-1]]
    assert set(before) <= set(sys.path)
    assert len(sys.path) == len(before) + 1


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((b"prog.py", b"1000", b"--x=\xff"), ["prog.py", "1000", "--x=\udcff"]),
        ((b"in_bundle.py", b"1"), ["{}/in_bundle.py", "1"]),
        ((b"",), [""]),
        ((), ["/there/script.py"]),  # of a version that was deployed before command lines were kept
    ],
)
def test_the_command_line_is_the_clients(tmp_path: Path, given: tuple[bytes, ...], found: list[str]) -> None:
    (tmp_path / "in_bundle.py").write_text("")
    environment = Environment(sys.executable, str(tmp_path), (), bundle_dir=str(tmp_path), argv=given)
    loader.enter_command_line(environment, FunctionSpec("f", Source("m", "f", "/there/script.py")))
    assert sys.argv == [word.format(tmp_path) for word in found]


def test_missing_working_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"working directory .*gone"):
        loader.enter_environment(Environment(sys.executable, str(tmp_path / "gone"), ()), spec(), {})


@pytest.mark.parametrize(("cpu", "given", "threads"), [(0.125, None, "1"), (2.0, None, "2"), (2.0, "7", "7")])
def test_libraries_may_start_as_many_threads_as_cores_are_asked_for(
    tmp_path: Path, cpu: float, given: str | None, threads: str
) -> None:
    os.environ.pop("OMP_NUM_THREADS", None)
    variables = {"OMP_NUM_THREADS": given} if given else {}
    environment = Environment(sys.executable, str(tmp_path), (), variables)
    loader.enter_environment(environment, spec(resources=Resources(cpu=cpu)), {})
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_plain_import_and_nested_names() -> None:
    assert loader.find(Source("os.path", "join")) is os.path.join
    assert loader.find(Source("pathlib", "Path.exists")) is Path.exists


def test_missing_name_tells_what_to_do() -> None:
    with pytest.raises(InvalidError, match=r"has no 'nothing'.*serialized=True"):
        loader.find(Source("os", "nothing"))
    with pytest.raises(InvalidError, match=r"has no 'f.<locals>.g'"):
        loader.find(Source("os", "f.<locals>.g"))


def test_file_wins_over_another_module_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "same_name.py").write_text("where = 'a'")
    (tmp_path / "b" / "same_name.py").write_text("where = 'b'")
    sys.path.insert(0, str(tmp_path / "a"))
    source = Source("same_name", "where", str(tmp_path / "b" / "same_name.py"))
    assert loader.find(source) == "b"
    assert sys.modules["same_name"].__file__ == str(tmp_path / "b" / "same_name.py")


@pytest.mark.parametrize("is_on_path", [True, False])
def test_a_module_named_like_one_that_is_loaded_already_is_the_users(tmp_path: Path, is_on_path: bool) -> None:
    file = tmp_path / "copy.py"
    file.write_text("def copy(text): return text.split()")
    sys.path[:0] = [str(tmp_path)] if is_on_path else []
    source = Source("copy", "copy", str(file))
    assert loader.find(source)("a b") == ["a", "b"]
    assert sys.modules["copy"].copy is loader.find(source)
    assert copy.copy([1]) == [1]  # who has the other one keeps it


@pytest.mark.parametrize("name", ["email", "email.message"])
def test_a_package_named_like_one_that_is_loaded_already_is_the_users(tmp_path: Path, name: str) -> None:
    package = tmp_path / "email"
    package.mkdir()
    (package / "__init__.py").write_text("from .message import where")
    (package / "message.py").write_text("where = __file__")
    sys.path.insert(0, str(tmp_path))
    file = package / ("__init__.py" if name == "email" else "message.py")
    assert loader.find(Source(name, "where", str(file))) == str(package / "message.py")
    assert "email.parser" not in sys.modules


def test_submodules_of_a_package_stay_when_a_module_takes_its_name(tmp_path: Path) -> None:
    (tmp_path / "email.py").write_text("x = 1")
    sys.path.insert(0, str(tmp_path))
    assert loader.find(Source("email", "x", str(tmp_path / "email.py"))) == 1
    assert sys.modules["email.message"] is email.message


def test_a_module_that_fails_leaves_the_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "copy.py").write_text("raise LookupError")
    with pytest.raises(LookupError):
        loader.find(Source("copy", "copy", str(tmp_path / "copy.py")))
    assert sys.modules["copy"] is copy


def test_a_module_that_has_put_another_object_in_its_place_is_not_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "replaces_itself.py"
    file.write_text("import sys\nclass It: pass\nsys.modules[__name__] = It()\nIt.made = sys.modules[__name__]")
    source = Source("replaces_itself", "made", str(file))
    sys.path.insert(0, str(tmp_path))
    assert loader.find(source) is loader.find(source)


def test_importable_file_is_imported_with_its_package(tmp_path: Path) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("value = 5")
    (package / "module.py").write_text("from .near import value")
    sys.path.insert(0, str(tmp_path))
    assert loader.find(Source("some_package.module", "value", str(package / "module.py"))) == 5


def test_script_is_main_for_pickle_and_loaded_once(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("class C: pass\nname = __name__\nspec = __spec__\n")
    found = loader.find(Source("__main__", "C", str(file)))
    assert found.__module__ == "__main__"
    assert sys.modules["__main__"] is sys.modules[script.MAIN]
    assert sys.modules["__main__"].__spec__ is None
    assert loader.find(Source("__main__", "C", str(file))) is found


def test_script_need_not_be_called_py(tmp_path: Path) -> None:
    file = tmp_path / "command"
    file.write_text("#!/usr/bin/env python3\nvalue = 5\n")
    assert loader.find(Source("__main__", "value", str(file))) == 5


def test_script_that_fails_leaves_main_alone(tmp_path: Path) -> None:
    before = sys.modules["__main__"]
    file = tmp_path / "script.py"
    file.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        loader.find(Source("__main__", "f", str(file)))
    assert sys.modules["__main__"] is before
    assert script.MAIN not in sys.modules


def test_main_without_a_file_must_be_pickled() -> None:
    with pytest.raises(InvalidError, match="serialized=True"):
        loader.find(Source("__main__", "f"))


def test_pickled_source_and_wrapped_objects() -> None:
    import cloudpickle

    class Wrapped:
        def __init__(self, raw: object) -> None:
            self.__swell_raw__ = raw

    assert loader.find(Source("m", "f", pickled=cloudpickle.dumps(lambda: 5)))() == 5
    assert loader.find(Source("m", "f", pickled=cloudpickle.dumps(Wrapped("raw")))) == "raw"


def test_a_script_that_was_run_as_a_module_knows_its_package(tmp_path: Path) -> None:
    package = tmp_path / "run_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("value = 5")
    (package / "__main__.py").write_text("from .near import value\nname = __name__")
    sys.path.insert(0, str(tmp_path))
    source = Source("__main__", "value", str(package / "__main__.py"), package="run_package")
    assert loader.find(source) == 5
    assert sys.modules["__main__"].__package__ == "run_package"


# ---------------------------------------------------------------- bundles


def entered(tmp_path: Path, **variables: str) -> str:
    """Enter an environment with a bundle that holds bundled_module.py; return its directory."""
    bundle_dir = tmp_path / "bundle"
    bundle_dir.mkdir()
    (bundle_dir / "bundled_module.py").write_text("value = 'bundled'")
    environment = Environment(
        python=sys.executable,
        cwd=str(tmp_path),
        sys_path=("/installed",),
        variables=variables,
        bundle="digest",
        bundle_dir=str(bundle_dir),
    )
    loader.enter_environment(environment, spec(), {})
    return str(bundle_dir)


def test_a_bundle_comes_first(tmp_path: Path) -> None:
    before = list(sys.path)
    bundle_dir = entered(tmp_path)
    assert sys.path == [bundle_dir, "/installed", *before]


@pytest.mark.parametrize(("given", "after"), [("", ""), ("/installed/site-packages", ":/installed/site-packages")])
def test_a_bundle_comes_first_for_programs_where_there_was_a_pythonpath(tmp_path: Path, given: str, after: str) -> None:
    assert f"{entered(tmp_path, PYTHONPATH=given)}{after}" == os.environ["PYTHONPATH"]


def test_a_bundle_is_for_no_program_where_there_was_no_pythonpath(tmp_path: Path) -> None:
    os.environ.pop("PYTHONPATH", None)
    entered(tmp_path)
    assert "PYTHONPATH" not in os.environ


def test_a_bundle_is_read_whatever_is_put_before_it(tmp_path: Path) -> None:
    bundle_dir = entered(tmp_path)
    (tmp_path / "live").mkdir()
    for name in ("bundled_module", "live_module"):
        (tmp_path / "live" / f"{name}.py").write_text("value = 'live'")
    (Path(bundle_dir) / "job.py").write_text(
        "import sys\nsys.path.insert(0, 'live')\nimport bundled_module, live_module\n"
    )
    assert loader.find(Source("job", "bundled_module.value", "job.py"), bundle_dir) == "bundled"
    assert loader.find(Source("job", "live_module.value", "job.py"), bundle_dir) == "live"


def test_a_namespace_in_a_bundle_leaves_other_portions_to_the_path(tmp_path: Path) -> None:
    bundle_dir = entered(tmp_path)
    for place in (Path(bundle_dir), tmp_path / "other"):
        (place / "name_space").mkdir(parents=True)
        (place / "name_space" / f"in_{place.name}.py").write_text(f"where = '{place.name}'")
    sys.path.append(str(tmp_path / "other"))
    assert loader.find(Source("name_space.in_bundle", "where", "name_space/in_bundle.py"), bundle_dir) == "bundle"
    assert loader.find(Source("name_space.in_other", "where")) == "other"


def test_a_relative_file_is_in_the_bundle(tmp_path: Path) -> None:
    bundle_dir = entered(tmp_path)
    (Path(bundle_dir) / "script").write_text("import bundled_module as near\nfile = __file__")
    assert loader.find(Source("bundled_module", "value", "bundled_module.py"), bundle_dir) == "bundled"
    assert loader.find(Source("__main__", "file", "script"), bundle_dir) == f"{bundle_dir}/script"
    assert loader.find(Source("__main__", "near.value", "script"), bundle_dir) == "bundled"


def test_a_relative_file_without_a_bundle_is_told() -> None:
    with pytest.raises(InvalidError, match=r"job\.py, where f is defined, is in no bundle"):
        loader.find(Source("job", "f", "job.py"))


@pytest.mark.parametrize("by_value", [False, True])
def test_a_module_that_the_bundle_lacks_is_told_with_the_remedy(tmp_path: Path, by_value: bool) -> None:
    bundle_dir = entered(tmp_path)
    (Path(bundle_dir) / "wanting.py").write_text("import absent_package.module")
    pickled = b"cabsent_package.module\nf\n." if by_value else b""
    with pytest.raises((ModuleNotFoundError, DeserializationError)) as told:
        loader.find(Source("wanting", "f", "wanting.py", pickled), bundle_dir)
    assert "Image.add_local_python_source('absent_package')" in told.value.__notes__[0]


def test_reseeding_leaves_the_common_sequence() -> None:
    random.seed(1)
    numpy.random.seed(1)
    expected = random.random(), numpy.random.random()
    random.seed(1)
    numpy.random.seed(1)
    loader.reseed()
    assert random.random() != expected[0]
    assert numpy.random.random() != expected[1]
