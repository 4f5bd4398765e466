"""`swell run`, as a person uses it: a file, a command line, what comes out, and the exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from programs import Programs
from terminal import PATIENCE_S, SWELL, on_a_terminal

SHOP = """
import swell

app = swell.App("shop")

@app.function()
@swell.asgi_app()
def front():
    raise AssertionError("nobody asks")

@app.cls()
class Desk:
    @swell.wsgi_app()
    def bell(self):
        raise AssertionError("nobody asks")

@app.local_entrypoint()
def main():
    import pathlib, time
    while not pathlib.Path("told").exists():
        time.sleep(0.05)
    print("done")
"""

JOB = """
import asyncio, sys, time
from typing import Literal
import swell

app = swell.App()

@app.function()
def greet(name: str, times: int = 1) -> str:
    print("greeting", name)
    print("careful", file=sys.stderr)
    return "hello " * times + name

@app.function()
def fail(x: int) -> float:
    return 1 / x

@app.function(serialized=True)
def count():
    yield 1

@app.function()
def nap(seconds: float) -> float:
    print("napping")
    time.sleep(seconds)
    return seconds

@app.function(max_containers=2)
def step(seconds: float) -> float:
    time.sleep(seconds)
    return seconds

@app.cls()
class Model:
    size: str = swell.parameter(default="small")

    @swell.method()
    def predict(self, text: str, n: int = 2) -> bytes:
        return f"{self.size}:{text * n}".encode()

@app.local_entrypoint()
def main(name: str = "world", mood: Literal["good", "bad"] = "good", loud: bool = False):
    text = greet.remote(name)
    print("main says", text.upper() if loud else text, mood)

@app.local_entrypoint()
async def main_async():
    print(await greet.remote.aio("async"))

@app.local_entrypoint()
def tokens(*args):
    print("tokens", args)

@app.local_entrypoint()
def failing():
    fail.remote(0)

@app.local_entrypoint()
def leaving():
    sys.exit(7)

@app.local_entrypoint()
def napping():
    nap.remote(600.0)

@app.local_entrypoint()
def mapping():
    print("slept", sum(step.map([0.25] * 16)))

@app.local_entrypoint()
def talkative():
    for n in range(100_000):
        print(n)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "names.py").write_text('NAME = "relative"\n')
    (tmp_path / "pkg" / "inner.py").write_text(
        "import swell\nfrom .names import NAME\napp = swell.App()\n\n"
        "@app.function()\ndef name() -> str:\n    return NAME\n"
    )
    return tmp_path


def swell(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SWELL, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=os.environ | environment,
    )


def test_an_entrypoint_gets_its_options_and_the_functions_output_comes_marked(folder: Path) -> None:
    done = swell(folder, "run", "job.py::main", "--name", "Ada", "--mood", "bad", "--loud")
    assert done.returncode == 0, done.stderr
    assert "main says HELLO ADA bad\n" in done.stdout
    assert re.search(r"^greet ta-\w{6}\| greeting Ada$", done.stdout, re.MULTILINE)
    assert re.search(r"^greet ta-\w{6}\| careful$", done.stderr, re.MULTILINE)


def test_timestamps_lead_the_log_lines_only(folder: Path) -> None:
    done = swell(folder, "run", "--timestamps", "job.py::main")
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d greet ta-\w{6}\| greeting world$", done.stdout, re.MULTILINE
    )
    assert "\nmain says" in f"\n{done.stdout}"


def test_a_function_runs_in_a_container_and_its_result_can_be_kept(folder: Path) -> None:
    done = swell(folder, "run", "-q", "-w", "out.txt", "job.py::greet", "--name", "Ada", "--times", "2")
    assert done.returncode == 0, done.stderr
    assert (folder / "out.txt").read_text() == "hello hello Ada"
    assert "greeting Ada" in done.stdout, "quiet hides progress, not logs"


def test_a_method_takes_parameters_of_its_class_and_its_own(folder: Path) -> None:
    done = swell(folder, "run", "-w", "out.bin", "job.py::Model.predict", "--size", "big", "--text", "hi", "--n", "3")
    assert done.returncode == 0, done.stderr
    assert (folder / "out.bin").read_bytes() == b"big:hihihi"


def test_an_async_entrypoint_and_one_that_takes_everything(folder: Path) -> None:
    assert "hello async" in swell(folder, "run", "job.py::main_async").stdout
    done = swell(folder, "run", "job.py::app.tokens", "--depth", "3", "-q", "x")
    assert "tokens ('--depth', '3', '-q', 'x')" in done.stdout


def test_a_module_of_a_package(folder: Path) -> None:
    done = swell(folder, "run", "-w", "out.txt", "-m", "pkg.inner")
    assert done.returncode == 0, done.stderr
    assert (folder / "out.txt").read_text() == "relative"
    refused = swell(folder, "run", "pkg/inner.py")
    assert refused.returncode == 1
    assert "swell run -m" in refused.stderr


def test_help_shows_the_options_of_the_entrypoint_and_runs_nothing(folder: Path) -> None:
    done = swell(folder, "run", "job.py::main", "--help")
    assert done.returncode == 0
    assert "--name" in done.stdout
    assert "[good|bad]" in done.stdout
    assert "--loud / --no-loud" in done.stdout
    assert "main says" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["job.py"], 1, "say which one to run"),
        (["job.py", "--help"], 1, "swell run job.py::main"),
        (["job.py::mian"], 1, "did you mean main?"),
        (["job.py::count"], 1, "generator functions"),
        (["job.py::main", "--mood", "odd"], 2, "'odd' is not one of 'good', 'bad'"),
        (["job.py::main", "--nmae", "x"], 2, "--name"),
        (["job.py::main", "-q"], 2, "write it before job.py::main"),
        (["job.py::greet"], 2, "Missing option '--name'"),
        (["-w", "out.txt", "job.py::nap", "--seconds", "0"], 1, "returned float"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_misuse(folder: Path, arguments: list[str], code: int, told: str) -> None:
    done = swell(folder, "run", *arguments)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_in_a_container_is_told_from_the_users_first_line_on(folder: Path) -> None:
    done = swell(folder, "run", "-q", "job.py::failing")
    assert done.returncode == 1
    told = done.stderr[done.stderr.rindex("Traceback (most recent call last):") :]
    assert re.search(r'File ".*/job\.py", line \d+, in failing', told.splitlines()[1])
    assert re.search(r'── in container ta-\w+ ─+\n  File ".*/job\.py", line \d+, in fail\n    return 1 / x\n', told)
    assert told.endswith("ZeroDivisionError: division by zero\n")
    assert "swell/sdk" not in told


def test_the_raw_traceback_can_be_had(folder: Path) -> None:
    done = swell(folder, "run", "job.py::failing", SWELL_TRACEBACK="1")
    assert done.returncode == 1
    assert "swell/sdk/" in done.stderr
    assert re.search(r'File "<ta-\w+>:/.*/job\.py"', done.stderr)


def test_the_program_may_choose_its_exit_code(folder: Path) -> None:
    done = swell(folder, "run", "job.py::leaving")
    assert done.returncode == 7
    assert "Traceback" not in done.stderr


def test_a_reader_may_leave_early(folder: Path, programs: Programs) -> None:
    process = programs.start(
        [SWELL, "run", "job.py::talkative"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_stops_the_app_without_a_traceback(folder: Path, programs: Programs) -> None:
    process = programs.start(
        [SWELL, "run", "job.py::napping"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert "napping" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "App aborted" in err
    assert "KeyboardInterrupt" not in re.sub(r"(?m)^\S+ ta-\w+\| .*$", "", err)


def test_on_a_terminal_there_is_a_board_while_it_runs_and_nothing_of_it_after(folder: Path) -> None:
    text, code = on_a_terminal(folder, "run", "job.py::mapping")
    assert code == 0
    assert re.search(r"step +\d running.* \d+/16 done", plain(text))
    assert re.search(r"step map +\S+ +\d+/16 .*/s", plain(text))
    assert "slept 4.0" in plain(text)
    assert text.rstrip().endswith("\x1b[2K"), "the board is erased at the end"


def test_on_a_terminal_an_error_is_one_red_panel(folder: Path) -> None:
    text, code = on_a_terminal(folder, "run", "-q", "job.py::failing")
    assert code == 1
    assert re.search(r"\x1b\[31m╭─\S* Error ", text)
    assert "division by zero" in text


def plain(text: str) -> str:
    """Drop the escape sequences of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_urls_of_web_functions_are_told_on_stderr_unless_quiet(tmp_path: Path, programs: Programs) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    environment = os.environ | {"SWELL_DATA_DIR": str(tmp_path / "data")}
    command = [SWELL, "run", "shop.py"]
    process = programs.start(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    assert re.fullmatch(r"swell: Created web function front => http://\S+/shop-front-dev/\n", process.stderr.readline())
    assert re.fullmatch(
        r"swell: Created web function Desk.bell => http://\S+/shop-desk-bell-dev/\n", process.stderr.readline()
    )
    (tmp_path / "told").touch()
    assert process.communicate(timeout=PATIENCE_S) == ("done\n", "")
    quiet = subprocess.run(
        [SWELL, "run", "-q", "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment,
    )
    assert (quiet.returncode, quiet.stdout) == (0, "done\n")
    assert "Created" not in quiet.stderr
