"""Containers get this program's surroundings; a deployed version gets what of these will still be true later."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from swell.errors import InvalidError
from swell.sdk.deploy.environment import deployed_environment, present_environment
from swell.sdk.deploy.roots import Roots

STANDARD = os.path.dirname(os.__file__)
OF_PYTEST = {"PYTEST_CURRENT_TEST"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "script", STANDARD])
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "TOKEN": "t", "SWELL_SERVER": "unix:/x", "TERM": "xterm"})
    return tmp_path


def test_a_run_has_all_of_it_but_what_belongs_to_this_place(here: Path) -> None:
    present = present_environment()
    assert (present.python, present.cwd) == (sys.executable, str(here))
    assert present.sys_path == (str(here), str(here / "script"), STANDARD)
    assert present.variables.keys() - OF_PYTEST == {"PATH", "TOKEN", "TERM"}
    assert (present.bundle, present.bundle_dir) == ("", "")


def test_a_version_has_no_local_roots(here: Path) -> None:
    deployed = deployed_environment(Roots(sys.path), "abc")
    assert (deployed.python, deployed.cwd, deployed.sys_path) == (sys.executable, str(here), (STANDARD,))
    assert (deployed.bundle, deployed.bundle_dir) == ("abc", "")
    assert deployed.variables.keys() - OF_PYTEST == {"PATH", "TOKEN"}


def test_a_run_has_the_command_line_and_a_version_the_name_of_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["some/where/prog.py", "1000", "\udcff", Path("x")])
    assert present_environment().argv == (b"some/where/prog.py", b"1000", b"\xff", b"x")
    assert deployed_environment(Roots(sys.path), "abc").argv == (b"prog.py",)


def test_variables_that_are_no_text_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"A": "1", "ODD": "\udcff", "N\udcfe": "x", "TERM_SESSION_ID": "\udcff"})
    present, deployed = present_environment(), deployed_environment(Roots(sys.path), "abc")
    assert present.raw_variables == ((b"ODD", b"\xff"), (b"N\xfe", b"x"), (b"TERM_SESSION_ID", b"\xff"))
    assert deployed.raw_variables == ((b"ODD", b"\xff"), (b"N\xfe", b"x"))
    assert present.variables.keys() - OF_PYTEST == {"A"}


def test_a_directory_that_was_deleted_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    with pytest.raises(InvalidError, match="the working directory of this program has been deleted"):
        present_environment()


def test_paths_that_are_no_text_are_told_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/odd/\udcff"])
    with pytest.raises(InvalidError, match=r"sys\.path has a name that is not UTF-8.*'/odd/\\udcff'"):
        present_environment()
    monkeypatch.setattr(sys, "path", [])
    odd = here / "\udcff"
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(InvalidError, match="the path of the working directory has a name that is not UTF-8"):
        present_environment()


@pytest.mark.parametrize("argument", [None, 7, "\ud800"])
def test_a_command_line_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, argument: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prog.py", argument])
    with pytest.raises(InvalidError, match=r"sys\.argv, which containers get, has an entry that is no argument"):
        present_environment()


@pytest.mark.parametrize(("given", "left"), [("src:/x/site-packages", "/x/site-packages"), ("src", ""), ("", "")])
def test_pythonpath_stays_for_the_bundle_without_local_roots(given: str, left: str) -> None:
    os.environ["PYTHONPATH"] = given
    assert deployed_environment(Roots(sys.path), "abc").variables["PYTHONPATH"] == left


OF_A_SESSION = [
    *(
        "_",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "TERM",
        "TERM_PROGRAM",
        "COLUMNS",
        "SSH_TTY",
        "SSH_AUTH_SOCK",
        "TMUX",
        "TMUX_PANE",
    ),
    *("XDG_SESSION_ID", "DISPLAY", "WINDOWID", "DBUS_SESSION_BUS_ADDRESS", "VSCODE_IPC_HOOK_CLI", "INVOCATION_ID"),
]


@pytest.mark.parametrize("name", OF_A_SESSION)
def test_a_session_is_forgotten(name: str) -> None:
    before = deployed_environment(Roots(sys.path), "abc")
    os.environ[name] = "something"
    assert deployed_environment(Roots(sys.path), "abc") == before


@pytest.mark.parametrize(
    "name", ["HOME", "LANG", "SSH_HOST", "SESSION_SECRET", "TERMS_URL", "WINDOW", "PYTHONHASHSEED"]
)
def test_what_programs_read_stays(name: str) -> None:
    os.environ[name] = "something"
    assert deployed_environment(Roots(sys.path), "abc").variables[name] == "something"
