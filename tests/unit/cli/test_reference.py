"""How FUNC_REF is spelled, and how the module that it names is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.cli.reference import Reference, load, parse
from swell.errors import InvalidError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty directory, and leave no trace of it in the interpreter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: str, text: str = "") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "is_module", "meant"),
    [
        ("job.py", False, ("job.py", "")),
        ("job.py::main", False, ("job.py", "main")),
        ("job.py::app.main", False, ("job.py", "app.main")),
        ("job.py::Model.predict", False, ("job.py", "Model.predict")),
        ("package.job", True, ("package.job", "")),
        ("package.job::main", True, ("package.job", "main")),
    ],
)
def test_spellings(text: str, is_module: bool, meant: tuple[str, str]) -> None:
    write("job.py")
    assert parse(text, is_module=is_module) == Reference(*meant, is_module)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("job.py:main", "two colons, job.py::main"),
        ("job.py::", "not complete"),
        ("::main", "not complete"),
        ("", "not complete"),
        ("job", "did you mean job.py?"),
        ("jbo.py", "did you mean job.py?"),
        ("sub/jbo.py", "did you mean sub/job.py?"),
        ("nothing/like/it.py", "there is no file 'nothing/like/it.py'"),
        ("package.module::main", "swell run -m package.module::main"),
        ("sub", "is a directory"),
        ("notes.txt", "must end in .py"),
        ("my.job.py", "rename it, for example to my_job.py"),
    ],
)
def test_a_wrong_spelling_is_told_with_the_right_one(text: str, advice: str) -> None:
    for path in ("job.py", "sub/job.py", "notes.txt", "my.job.py"):
        write(path)
    with pytest.raises(InvalidError) as told:
        parse(text, is_module=False)
    assert advice in str(told.value)


@pytest.mark.parametrize("text", ["job.py", "sub/job"])
def test_a_path_is_no_module(text: str) -> None:
    with pytest.raises(InvalidError, match="leave out -m"):
        parse(text, is_module=True)


def test_a_script_is_a_module_of_its_own_name_and_file(here: Path) -> None:
    write("sub/some_job.py", "where = (__name__, __file__)")
    module = load(parse("sub/some_job.py", is_module=False))
    assert module.where == ("some_job", str(here / "sub" / "some_job.py"))
    assert sys.modules["some_job"] is module


def test_a_script_finds_its_neighbours_and_what_is_in_the_working_directory(here: Path) -> None:
    write("sub/neighbour_of_job.py", "x = 1")
    write("module_in_cwd.py", "y = 2")
    write("sub/some_job.py", "import neighbour_of_job, module_in_cwd")
    load(parse("sub/some_job.py", is_module=False))
    assert sys.path[:2] == [str(here / "sub"), str(here)]


def test_a_script_that_is_a_link_finds_the_neighbours_of_the_file(here: Path) -> None:
    write("real/job.py", "import beside_job\nfound = beside_job.value")
    write("real/beside_job.py", "value = 'beside the file'")
    write("bin/beside_job.py", "value = 'beside the link'")
    Path("bin/job_link.py").symlink_to("../real/job.py")
    module = load(parse("bin/job_link.py", is_module=False))
    assert module.found == "beside the file"
    assert (module.__name__, module.__file__) == ("job_link", str(here / "bin/job_link.py"))


def test_a_script_that_was_edited_in_the_same_second_is_not_run_from_a_cache(here: Path) -> None:
    for value in "ab":
        write("some_job.py", f"value = {value!r}")
        assert load(parse("some_job.py", is_module=False)).value == value
        del sys.modules["some_job"]
    assert not (here / "__pycache__").exists()


def test_a_script_cannot_take_the_place_of_a_module_in_use() -> None:
    with pytest.raises(InvalidError, match=r"json.*in use already; rename it"):
        load(parse(write("json.py"), is_module=False))


def test_a_relative_import_needs_module_mode() -> None:
    write("package_of_job/__init__.py")
    write("package_of_job/other.py", "z = 3")
    write("package_of_job/job.py", "from .other import z")
    with pytest.raises(InvalidError, match="swell run -m"):
        load(parse("package_of_job/job.py", is_module=False))
    assert load(parse("package_of_job.job", is_module=True)).z == 3


def test_a_module_that_is_not_there_is_told_apart_from_one_it_lacks() -> None:
    with pytest.raises(InvalidError, match="no module 'absent_package'"):
        load(parse("absent_package.job", is_module=True))
    write("job_that_lacks.py", "import absent_dependency")
    with pytest.raises(ModuleNotFoundError, match="absent_dependency"):
        load(parse("job_that_lacks", is_module=True))


def test_what_the_script_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        load(parse(write("some_job.py", "1 / 0"), is_module=False))
