"""scripts/repeat: what it counts, and that it leaves nothing running."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import psutil
import pytest

TESTS = """
import signal
import pytest

@pytest.fixture
def torn():
    yield
    assert False, "as it is torn down"

@pytest.mark.parametrize("number", [1, 2])
def test_odd(number):
    assert number == 1

def test_torn(torn):
    pass

@pytest.mark.skip
def test_skipped():
    pass

def test_ignored():
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
"""


@pytest.fixture(scope="module")
def repeat(repository: Path) -> ModuleType:
    path = repository / "scripts/repeat"
    loader = SourceFileLoader("swell_repeat", str(path))
    spec = importlib.util.spec_from_loader("swell_repeat", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["swell_repeat"] = module
    loader.exec_module(module)
    return module


def test_failures_are_counted_by_test_and_tell_where_their_output_is(repeat: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", str(tmp_path / "test_it.py")]
    runs = [repeat.run_once("it", command, tmp_path, seed, ignore_signals=seed == 1) for seed in (0, 1)]
    assert [run.exit_code for run in runs] == [1, 1]
    names = [{name.partition("::")[2]: outcome for name, outcome in run.outcomes.items()} for run in runs]
    expected = {"test_odd[1]": "passed", "test_odd[2]": "failed", "test_torn": "failed", "test_skipped": "skipped"}
    assert names == [expected | {"test_ignored": "failed"}, expected | {"test_ignored": "passed"}]
    told = repeat.table(runs)
    assert "0 of 2 runs passed; 4 tests ran, 3 failed at least once" in told
    assert "failed 2 of 2  test_it.py::test_odd[2]" in told
    assert "failed 1 of 2  test_it.py::test_ignored" in told
    assert f"seed 0  {tmp_path}/output.txt" in told


def test_a_run_that_never_reported_is_counted(repeat: ModuleType, tmp_path: Path) -> None:
    run = repeat.run_once("broken", [sys.executable, "-c", "raise SystemExit(4)"], tmp_path, 0, ignore_signals=False)
    assert "failed 1 of 1  (the run itself: broken)" in repeat.table([run])


def test_busy_processes_end_with_it_however_it_ends(repository: Path) -> None:
    program = f"""
import time
from importlib.machinery import SourceFileLoader
repeat = SourceFileLoader("repeat", {str(repository / "scripts/repeat")!r}).load_module()
with repeat.busy(2):
    print("busy", flush=True)
    time.sleep(1_000)
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        started = psutil.Process(process.pid).children()
        assert len(started) == 2
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(started, 300)
    assert alive == []


def test_tiers_run_as_scripts_test_runs_them_and_the_rest_is_one_pytest(repeat: ModuleType) -> None:
    commands = repeat.commands(["e2e", "tests/unit/test_docs.py", "-k", "readme"])
    assert commands["e2e"] == ["scripts/test", "e2e"]
    assert commands["tests/unit/test_docs.py -k readme"][1:] == ["tests/unit/test_docs.py", "-k", "readme"]
