"""How `swell run` begins and ends an App; the App itself is a stand-in here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swell.cli.main import main
from swell.config import Settings
from swell.sdk.app import App
from swell.sdk.connection.output import current_output

JOB = """
import swell

app = swell.App()

@app.local_entrypoint()
def main(stop: bool = False, say: str = "", leave: str = ""):
    print("inside", say)
    if leave:
        raise SystemExit(leave)
    if stop:
        raise KeyboardInterrupt
    return 5
"""


class Run:
    """Stands in for a run of an App, with a Ctrl-C where a test wants one."""

    def __init__(self, *, at_begin: bool = False, at_end: bool = False) -> None:
        self._at_begin = at_begin
        self._at_end = at_end
        self.events: list[str] = []
        self.description = ""
        self.options: dict[str, Any] = {}

    def begin(self, app: App, **options: Any) -> Run:
        self.description, self.options = app.description, options
        return self

    def __enter__(self) -> None:
        assert current_output() is not None
        if self._at_begin:
            raise KeyboardInterrupt
        self.events.append("entered")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.events.append("left")
        if self._at_end:
            raise KeyboardInterrupt
        return kind is KeyboardInterrupt


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a directory with a job, and leave no trace of it in the interpreter."""
    (tmp_path / "some_job.py").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [])
    yield
    sys.modules.pop("some_job", None)


def swell_run(run: Run, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(App, "run", lambda app, **options: run.begin(app, **options))
    try:
        main(["run", *arguments])
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code
    return 0


def test_the_app_runs_around_the_entrypoint_and_output_is_enabled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run()
    assert swell_run(run, monkeypatch, "some_job.py", "--say", "x") == 0
    assert run.events == ["entered", "left"]
    assert capsys.readouterr().out == "inside x\n"
    assert run.description == "some_job.py --say x", "an App without a name is shown as its command line"
    assert sys.argv == ["some_job.py", "--say", "x"]


def test_options_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setenv("SWELL_SERVER", "unix:/nowhere")
    assert swell_run(run, monkeypatch, "-n", "nightly", "-d", "-i", "-e", "dev", "some_job.py") == 0
    assert run.options == {"name": "nightly", "detach": True, "interactive": True, "environment_name": "dev"}


def test_a_backend_is_that_of_a_server_of_this_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SWELL_SERVER", "SWELL_BACKEND", "SWELL_RAY_ADDRESS"):
        monkeypatch.setenv(name, "")  # so that the former value comes back
        monkeypatch.delenv(name)
    arguments = ("--backend", "ray", "--address", "h:1", "some_job.py")
    assert swell_run(Run(), monkeypatch, *arguments) == 0
    settings = Settings.load()
    assert (settings.server, settings.backend, settings.ray_address) == ("private", "ray", "h:1")
    monkeypatch.setenv("SWELL_SERVER", "unix:/nowhere")
    assert swell_run(Run(), monkeypatch, *arguments) == 1
    assert "SWELL_SERVER names another: unix:/nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "caveat"),
    [("", "--detach has no effect"), ("private", "--detach has no effect"), ("unix:/nowhere", "has spawned goes on")],
)
def test_detaching_comes_with_a_caveat(
    server: str, caveat: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWELL_SERVER", server)
    assert swell_run(Run(), monkeypatch, "-d", "some_job.py") == 0
    assert caveat in capsys.readouterr().err


def test_ctrl_c_while_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run()
    assert swell_run(run, monkeypatch, "some_job.py", "--stop") == 130
    assert run.events == ["entered", "left"]
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_before_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert swell_run(Run(at_begin=True), monkeypatch, "some_job.py") == 130
    assert capsys.readouterr().err == "swell: Aborting app initialization\n"


def test_ctrl_c_again_while_it_is_stopped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert swell_run(Run(at_end=True), monkeypatch, "some_job.py", "--stop") == 130
    assert capsys.readouterr().err == "\nAborted\n"


def test_the_text_with_which_a_program_ends_gives_the_terminal_no_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be the text of a `sys.exit` in a container, which ends the program here, too."""
    assert swell_run(Run(), monkeypatch, "some_job.py", "--leave", "\x1b[2Jgone\ntoo far") == 1
    assert capsys.readouterr().err == "\\x1b[2Jgone\ntoo far\n"


def test_a_result_that_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert swell_run(Run(), monkeypatch, "-w", str(tmp_path / "out"), "some_job.py") == 1
    assert "the function returned int" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
