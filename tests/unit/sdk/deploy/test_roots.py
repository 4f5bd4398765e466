"""What is installed is told from what is local, and a module is found where an import would find it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

import swell.wire
from swell.sdk.deploy.roots import ModuleLocation, Roots

STANDARD = os.path.dirname(os.__file__)
SWELL = os.path.dirname(os.path.dirname(os.path.dirname(swell.wire.__file__)))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory, which is the working directory; modules imported from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found_in(roots: Roots, tree: Path, name: str) -> tuple[str, list[str], bool] | None:
    found = roots.find(name)
    if found is None:
        return None
    relative = [os.path.relpath(path, tree) for path in (found.file, *found.directories)]
    return relative[0], relative[1:], found.is_local


# ---------------------------------------------------------------- which entries stay


def test_what_is_installed_stays(tree: Path) -> None:
    write("venv/lib/site-packages/x.py", "dist-packages/x.py", "lib.zip")
    kept = ["venv/lib/site-packages", "dist-packages", "lib.zip"]
    dynload = f"{STANDARD}/lib-dynload"
    zipped = f"{os.path.dirname(STANDARD)}/python{sys.version_info.major}{sys.version_info.minor}.zip"
    roots = Roots(["script", "", zipped, STANDARD, dynload, *kept, "missing"])
    assert roots.kept == (zipped, STANDARD, dynload, *(str(tree / entry) for entry in kept))


def test_the_place_of_swell_stays_wherever_it_comes_from() -> None:
    assert Roots([SWELL, STANDARD]).kept == (SWELL, STANDARD)
    assert Roots([STANDARD, SWELL]).kept == (STANDARD, SWELL)


def test_an_editable_install_stays_unless_the_program_runs_there(tree: Path) -> None:
    write("site-packages/x.py", "src/m.py", "src/deeper/x.py", "more/x.py")
    Path("site-packages/editable.pth").write_text("# a comment\nimport os\n\n../src\n../nothing\n")
    src = str(tree / "src")
    behind = Roots([STANDARD, "site-packages", "src", "more"])
    assert behind.kept == (STANDARD, str(tree / "site-packages"), src)
    assert behind.find("m") == ModuleLocation(f"{src}/m.py", (), False)
    before = Roots(["src", STANDARD, "site-packages", "src"])
    assert before.kept == (STANDARD, str(tree / "site-packages"), src)
    assert before.find("m") == ModuleLocation(f"{src}/m.py", (), True)


def test_pythonpath_keeps_what_is_installed(tree: Path) -> None:
    write("site-packages/x.py", "local/x.py")
    assert Roots.kept_in(f"local:site-packages::{SWELL}:{tree}") == f"{tree}/site-packages:{SWELL}"
    assert Roots.kept_in("local") == ""


# ---------------------------------------------------------------- whose file it is


def test_the_innermost_entry_decides(tree: Path) -> None:
    write("venv/site-packages/x.py", "src/x.py", "elsewhere/site-packages/x.py", "elsewhere/x.py")
    roots = Roots(["", STANDARD, "venv/site-packages"])
    assert roots.is_installed("venv/site-packages/x.py")
    assert not roots.is_installed("src/x.py")
    assert roots.is_installed(os.__file__)
    outside = Roots(["src", STANDARD])
    assert outside.is_installed("elsewhere/site-packages/x.py")
    assert not outside.is_installed("elsewhere/x.py")


def test_a_link_is_where_it_leads(tree: Path) -> None:
    write("real/site-packages/x.py", "src/x.py")
    Path("src/link").symlink_to(tree / "real/site-packages")
    assert Roots(["src", STANDARD, "real/site-packages"]).is_installed("src/link/x.py")


# ---------------------------------------------------------------- finding


def test_the_first_entry_wins_and_a_package_before_a_module(tree: Path) -> None:
    write("a/m.py", "b/m.py", "b/m/__init__.py", "b/n.py", "site-packages/n.py", "site-packages/o.py", "b/o.py")
    roots = Roots(["a", "b", STANDARD, "site-packages"])
    assert found_in(roots, tree, "m") == ("a/m.py", [], True)
    assert found_in(roots, tree, "n") == ("b/n.py", [], True)
    assert found_in(Roots(["b"]), tree, "m") == ("b/m/__init__.py", ["b/m"], True)
    assert found_in(Roots([STANDARD, "site-packages", "b"]), tree, "o") == ("site-packages/o.py", [], False)
    assert roots.find("nothing") is None


def test_extension_modules_are_found(tree: Path) -> None:
    write("a/fast.abi3.so", "a/fast.py")
    assert found_in(Roots(["a"]), tree, "fast") == ("a/fast.abi3.so", [], True)


def test_a_name_in_a_package_gives_its_module_or_the_nearest(tree: Path) -> None:
    write("p/__init__.py", "p/q/__init__.py", "p/q/m.py")
    roots = Roots([""])
    assert found_in(roots, tree, "p.q.m") == ("p/q/m.py", ["p"], True)
    assert found_in(roots, tree, "p.q.VALUE") == ("p/q/__init__.py", ["p"], True)
    assert found_in(roots, tree, "p.VALUE.attribute") == ("p/__init__.py", ["p"], True)
    assert found_in(roots, tree, "p.q.m.f") == ("p/q/m.py", ["p"], True)


def test_a_namespace_counts_if_a_module_is_found_in_it(tree: Path) -> None:
    write("a/space/data.txt", "a/space/m.py", "a/space/inner/n.py", "b/space/o.py", "site-packages/space/installed.py")
    roots = Roots(["a", "b", STANDARD, "site-packages"])
    assert roots.find("space") is None
    assert roots.find("space.nothing") is None
    assert roots.find("space.inner") is None
    local = ["a/space", "b/space"]
    assert found_in(roots, tree, "space.m") == ("a/space/m.py", local, True)
    assert found_in(roots, tree, "space.o") == ("b/space/o.py", local, True)
    assert found_in(roots, tree, "space.inner.n") == ("a/space/inner/n.py", local, True)
    installed = ("site-packages/space/installed.py", ["site-packages/space"], False)
    assert found_in(roots, tree, "space.installed") == installed


def test_a_package_anywhere_hides_namespaces_before_it(tree: Path) -> None:
    write("a/numbers_/m.py", "site-packages/numbers_/__init__.py")
    found = found_in(Roots(["a", STANDARD, "site-packages"]), tree, "numbers_.m")
    assert found == ("site-packages/numbers_/__init__.py", ["site-packages/numbers_"], False)


def test_what_was_imported_from_elsewhere_is_known(tree: Path) -> None:
    write("once/imported_once.py", "once/package_once/__init__.py")
    sys.path.insert(0, str(tree / "once"))
    importlib.invalidate_caches()
    importlib.import_module("imported_once")
    importlib.import_module("package_once")
    roots = Roots([STANDARD])
    assert found_in(roots, tree, "imported_once") == ("once/imported_once.py", [], True)
    assert found_in(roots, tree, "package_once.m") == ("once/package_once/__init__.py", ["once/package_once"], True)
    assert Roots([STANDARD]).find("sys") is None


def test_a_finder_of_an_editable_install_makes_it_installed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("project/edited/__init__.py")

    class Finder:
        def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
            return spec_from_file_location(name, "project/edited/__init__.py") if name == "edited" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    expected = ("project/edited/__init__.py", ["project/edited"], False)
    assert found_in(Roots([STANDARD]), tree, "edited.m") == expected
