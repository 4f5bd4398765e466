"""Containers get this program's surroundings; a deployed version gets what of these will still be true later."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

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
