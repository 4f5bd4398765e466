"""A bundle holds the local files that an App's code consists of, where an import looks for them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import swell
from swell.errors import InvalidError
from swell.sdk.deploy import bundling
from swell.wire import bundle as archives

#: An App with one function; what else a test needs goes before it.
APP = """
import swell
app = swell.App("a", image=globals().get("image"))

@app.function()
def f(): ...
"""


#: The same with its whole package asked for.
IN_PACKAGE = "import swell\nimage = swell.Image().add_local_python_source('package')\n" + APP


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project: the working directory, and the first entry of `sys.path`."""
    monkeypatch.chdir(tmp_path)
    installed = [entry for entry in sys.path if "site-packages" in entry or entry.startswith(sys.base_prefix)]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *installed])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def write(files: Mapping[str, str]) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    importlib.invalidate_caches()


def app_of(module: str = "job") -> swell.App:
    return importlib.import_module(module).app


def bundled(app: swell.App) -> tuple[list[str], list[str | None]]:
    """Return the paths in an App's bundle, and where its functions are."""
    specs, environment, archive = bundling.bundle(app.describe())
    files = archives.unpack(archive)
    assert archives.digest_of(files) == environment.bundle
    return sorted(files), [spec.source.file for spec in specs]


def paths(app: swell.App) -> list[str]:
    return bundled(app)[0]


# ---------------------------------------------------------------- what is taken


def test_the_file_of_a_function_and_what_it_imports() -> None:
    write({"job.py": "import near\n" + APP, "near.py": "def f():\n  import far", "far.py": "", "other.py": ""})
    write({"notes.txt": "", "data/x.bin": ""})
    assert bundled(app_of()) == (["far.py", "job.py", "near.py"], ["job.py"])


def test_a_package_is_taken_as_a_whole_with_what_its_files_import() -> None:
    write({"package/__init__.py": "", "package/job.py": APP, "package/a/data.bin": "x", "package/b.py": "import near"})
    write({"package/.secret": "", "package/__pycache__/b.pyc": "", "near.py": ""})
    names = ["near.py", "package/__init__.py", "package/a/data.bin", "package/b.py", "package/job.py"]
    assert bundled(app_of("package.job")) == (names, ["package/job.py"])


def test_a_namespace_is_taken_as_a_whole_if_a_module_of_it_is() -> None:
    write({"space/job.py": APP, "space/data.txt": "", "job.py": "import space, unused, scripts\n" + APP})
    write({"unused/data.bin": "", "scripts/script.py": ""})
    assert paths(app_of()) == ["job.py"]
    assert bundled(app_of("space.job")) == (["space/data.txt", "space/job.py"], ["space/job.py"])


def test_functions_and_classes_of_several_modules() -> None:
    write({"one.py": APP, "two.py": APP.replace("def f", "def g") + "@app.cls()\nclass C: ...\n"})
    app = app_of("one").include(app_of("two"))
    assert bundled(app) == (["one.py", "two.py"], ["one.py", "two.py", "two.py"])


def test_what_is_installed_is_not_taken() -> None:
    write({"job.py": "import json, numpy, msgspec, swell.wire.codec, pytest\n" + APP})
    assert paths(app_of()) == ["job.py"]


def test_a_function_of_an_installed_module_stays_where_it_is(here: Path) -> None:
    write({"site-packages/job.py": "import near\n" + APP, "near.py": ""})
    sys.path.append(str(here / "site-packages"))
    specs, environment, archive = bundling.bundle(app_of().describe())
    assert (specs[0].source.file, environment.bundle, archive) == (str(here / "site-packages/job.py"), "", b"")


@pytest.mark.parametrize("module", ["job", "edited.job"])
def test_editable_installs_are_named_for_they_may_be_edited(here: Path, module: str) -> None:
    write({"job.py": "import edited, edited.job\n" + APP, "src/edited/__init__.py": "", "src/edited/job.py": APP})
    write({"site-packages/edited.pth": "../src"})
    sys.path += [str(here / "site-packages"), str(here / "src")]
    app = app_of(module)
    with pytest.warns(UserWarning, match=rf"edited \({here}/src/edited\).*add_local_python_source\('edited'\)"):
        specs, environment, _ = bundling.bundle(app.describe())
    assert str(here / "src") in environment.sys_path
    assert specs[0].source.file == ("job.py" if module == "job" else str(here / "src/edited/job.py"))


def test_editable_installs_are_taken_if_asked_for(here: Path) -> None:
    write({"src/edited/__init__.py": "", "src/edited/job.py": IN_PACKAGE.replace("'package'", "'edited'")})
    write({"site-packages/edited.pth": "../src"})
    sys.path += [str(here / "site-packages"), str(here / "src")]
    assert bundled(app_of("edited.job")) == (["edited/__init__.py", "edited/job.py"], ["edited/job.py"])


def test_local_roots_are_left_out_of_the_path(here: Path) -> None:
    write({"job.py": APP, "lib/near.py": ""})
    sys.path.insert(1, str(here / "lib"))
    environment = bundling.bundle(app_of().describe()).environment
    assert environment.sys_path == tuple(sys.path[2:])
    assert environment.cwd == str(here)


def test_the_first_of_two_modules_of_a_name_is_taken(here: Path) -> None:
    write({"job.py": "import near\n" + APP, "first/near.py": "1", "second/near.py": "2"})
    sys.path[:0] = [str(here / "first"), str(here / "second")]
    assert archives.unpack(bundling.bundle(app_of().describe()).archive)["near.py"] == b"1"


def test_a_module_that_was_imported_from_elsewhere_is_where_an_import_will_look(here: Path) -> None:
    write({"job.py": "import once, package_once.m\n" + APP, "aside/once.py": "import near", "near.py": ""})
    write({"aside/package_once/__init__.py": "", "aside/package_once/m.py": ""})
    sys.path.insert(0, str(here / "aside"))
    app = app_of()
    del sys.path[0]
    assert paths(app) == ["job.py", "near.py", "once.py", "package_once/__init__.py", "package_once/m.py"]


def test_a_module_that_was_loaded_by_its_path_is_where_an_import_will_look(here: Path) -> None:
    write({"aside/any-name.py": "import near\n" + APP, "near.py": ""})
    spec = importlib.util.spec_from_file_location("job", here / "aside/any-name.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["job"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert bundled(module.app) == (["job.py", "near.py"], ["job.py"])


BY_VALUE = """
import importlib, swell
app = swell.App("a")

def make(value):
    @app.function(serialized=True)
    def f():
        import late
        return value, near.C, "data"
    return f

from near import *
import near
make(importlib.import_module("given").G)
"""


def test_functions_by_value_bring_what_their_pickle_names() -> None:
    write({"job.py": BY_VALUE, "near.py": "class C: ...", "late.py": "", "data/x.bin": "", "given.py": "class G: ..."})
    assert paths(app_of()) == ["given.py", "job.py", "late.py", "near.py"]


def test_a_file_that_is_no_python_is_taken_and_imports_nothing() -> None:
    write({"package/__init__.py": "", "package/job.py": APP, "package/template.py": "import {{ name }}"})
    assert "package/template.py" in paths(app_of("package.job"))


# ---------------------------------------------------------------- what images ask for


def ask(steps: str) -> None:
    write({"job.py": f"import swell\nimage = swell.Image(){steps}\n" + APP})


def test_modules_asked_for_by_name() -> None:
    ask(".add_local_python_source('plugin', 'package.inner')")
    write({"plugin.py": "import near", "near.py": "", "package/__init__.py": "", "package/inner.py": "", "x.py": ""})
    assert paths(app_of()) == ["job.py", "near.py", "package/__init__.py", "package/inner.py", "plugin.py"]


def test_an_installed_module_asked_for_is_taken_and_its_functions_are_in_the_bundle(here: Path) -> None:
    write({"site-packages/package/__init__.py": "", "job.py": "", "site-packages/package/job.py": IN_PACKAGE})
    sys.path.append(str(here / "site-packages"))
    assert bundled(app_of("package.job")) == (["package/__init__.py", "package/job.py"], ["package/job.py"])


def test_a_part_of_a_package_is_left_out() -> None:
    ask(".add_local_python_source('package', ignore=['data', '**/*.bin'])")
    write({"job.py": Path("job.py").read_text() + "\nimport package", "package/__init__.py": "", "package/a.bin": ""})
    write({"package/data/x.txt": "", "package/inner/b.bin": "", "package/inner/c.txt": ""})
    assert paths(app_of()) == ["job.py", "package/__init__.py", "package/inner/c.txt"]


def test_a_function_cannot_be_left_out() -> None:
    leaving = IN_PACKAGE.replace("'package'", "'package', ignore=['job.py']")
    write({"package/__init__.py": "", "package/job.py": leaving})
    with pytest.raises(InvalidError, match=r"f is defined in .*package/job\.py, which is left out of the bundle"):
        bundling.bundle(app_of("package.job").describe())


@pytest.mark.parametrize(
    ("step", "added"),
    [
        ("add_local_file('notes.txt', 'notes.txt')", ["notes.txt"]),
        ("add_local_file('d/x.txt', 'other/y.txt')", ["other/y.txt"]),
        ("add_local_file('d/x.txt', 'other/')", ["other/x.txt"]),
        ("add_local_file('d/x.txt', '.')", ["x.txt"]),
        ("add_local_file('d/x.txt', './a/../b')", ["b"]),
        ("add_local_dir('d', 'd')", ["d/e/y.bin", "d/x.txt"]),
        ("add_local_dir('d', '.')", ["e/y.bin", "x.txt"]),
        ("add_local_dir('d', 'z/', ignore=['e'])", ["z/x.txt"]),
        ("add_local_file('d/x.txt', 'a').add_local_file('d/x.txt', 'b')", ["a", "b"]),
        ("pip_install('d').env({'A': 'B'})", []),
    ],
)
def test_files_asked_for(step: str, added: list[str]) -> None:
    ask(f".{step}")
    write({"notes.txt": "", "d/x.txt": "", "d/e/y.bin": "", "d/.hidden": ""})
    assert paths(app_of()) == sorted([*added, "job.py"])


def test_a_file_asked_for_takes_the_place_of_one_that_is_not() -> None:
    ask(".add_local_file('production.txt', 'package/settings.txt')")
    write({"job.py": "import package\n" + Path("job.py").read_text(), "production.txt": "production"})
    write({"package/__init__.py": "", "package/settings.txt": "development"})
    assert archives.unpack(bundling.bundle(app_of().describe()).archive)["package/settings.txt"] == b"production"


@pytest.mark.parametrize(
    ("step", "advice"),
    [
        (
            "add_local_file('notes.txt', '/root' '/notes.txt')",
            r"root/notes\.txt'.* outside of the bundle.*Say 'notes\.txt'",
        ),
        ("add_local_dir('d', '/data')", r"Say 'data', and read it beside the code"),
        ("add_local_file('notes.txt', '../notes.txt')", r"leads out of the bundle"),
        ("add_local_file('gone.txt', 'a')", r"there is no file .*gone\.txt"),
        ("add_local_file('d', 'a')", r"there is no file .*/d"),
        ("add_local_dir('gone', 'a')", r"there is no directory .*gone"),
        ("add_local_python_source('gone')", r"'gone'\): there is no such module"),
        ("add_local_file('notes.txt', 'a').add_local_file('d/x.txt', 'a')", r"would both be a in a container"),
        ("add_local_file('notes.txt', 'a').add_local_file('d/x.txt', 'a/b')", r"a file 'a' and a file 'a/b' below it"),
    ],
)
def test_what_cannot_be_had_is_refused_when_the_app_is_deployed(step: str, advice: str) -> None:
    ask(f".{step}")
    write({"notes.txt": "", "d/x.txt": ""})
    app = app_of()
    with pytest.raises(InvalidError, match=advice):
        bundling.bundle(app.describe())


# ---------------------------------------------------------------- bounds and determinism


def test_a_bundle_that_is_too_large_is_told_with_its_largest_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "SIZE_MAX", 1_000)
    write({"package/__init__.py": "", "package/job.py": APP, "package/weights.bin": "w" * 2_000})
    with pytest.raises(InvalidError, match=r"over the limit of .*The largest: .*package/weights\.bin.*ignore="):
        bundling.bundle(app_of("package.job").describe())


def test_the_same_files_are_the_same_bundle_wherever_they_lie(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"job.py": "import near, package\n" + APP, "near.py": "", "package/__init__.py": "", "package/a.txt": ""}
    write(files)
    first = bundling.bundle(app_of().describe())
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    os.chdir(elsewhere)
    write(dict(reversed(files.items())))
    sys.path[0] = str(elsewhere)
    for name in ("job", "near", "package"):
        del sys.modules[name]
    again = bundling.bundle(app_of().describe())
    assert (again.environment.bundle, again.archive, again.specs) == (
        first.environment.bundle,
        first.archive,
        first.specs,
    )
