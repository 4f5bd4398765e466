"""A container ends as a program does.

Looked at in processes of their own, since the end of one is what is tested.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import patience

BEGIN = """
import atexit, multiprocessing, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from swell.runner.child import leave, run_and_exit

def double(x): return 2 * x
"""
#: What user code has left when a container ends, and what it says then.
LEFT = {
    "a pool of processes": ("kept = ProcessPoolExecutor(1); print(kept.submit(double, 2).result())", "4\n"),
    "a pool of threads": ("ThreadPoolExecutor(1).submit(lambda: (begun.wait(), print('worked')))", "worked\n"),
    "a thread": ("threading.Thread(target=lambda: (begun.wait(), print('worked'))).start()", "worked\n"),
    "a daemon thread": ("threading.Thread(target=threading.Event().wait, daemon=True).start()", ""),
    "an exit function": ("atexit.register(print, 'left')", "left\n"),
    "a closed stdout": ("sys.stdout.close()", ""),
    "another stdout": ("sys.stdout = type('Odd', (), {'flush': lambda self: 1 / 0})()", ""),
    "a thread before exit functions": (
        "atexit.register(print, 'left'); threading.Thread(target=lambda: (begun.wait(), print('worked'))).start()",
        "worked\nleft\n",
    ),
}
#: What would never end.
ENDLESS = {
    "a thread": "threading.Thread(target=threading.Event().wait).start()",
    "a pool of threads": "ThreadPoolExecutor(1).submit(threading.Event().wait)",
    "a process": "multiprocessing.Process(target=time.sleep, args=(1000,)).start()",
    "a pool of processes": "kept = ProcessPoolExecutor(1); kept.submit(double, 2).result()",
    "a busy pool of processes": "kept = ProcessPoolExecutor(1); kept.submit(time.sleep, 1000)",
}


def run(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = (
        f"{BEGIN}\nbegun = threading.Event()\ndef main():\n    {body}\nif __name__ == '__main__': run_and_exit(main)"
    )
    (folder / "program.py").write_text(program)
    command = [sys.executable, str(folder / "program.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience(30.0), check=False)


@pytest.mark.parametrize("left", LEFT)
def test_it_waits_for_what_a_program_waits_for_and_for_nothing_else(left: str, tmp_path: Path) -> None:
    code, said = LEFT[left]
    ended = run(f"{code}; threading.Timer(0.05, begun.set).start(); return 3", tmp_path)
    assert (ended.stdout, ended.returncode, ended.stderr) == (said, 3, "")


@pytest.mark.parametrize("endless", ENDLESS)
def test_what_waits_for_nothing_ends_whatever_it_has_begun(endless: str, tmp_path: Path) -> None:
    body = f"atexit.register(print, 'left'); print('kept', end=' '); {ENDLESS[endless]}; leave(3, waits=False)"
    ended = run(body, tmp_path)
    assert (ended.stdout, ended.returncode, ended.stderr) == ("kept left\n", 3, "")


def test_what_it_raises_is_told(tmp_path: Path) -> None:
    ended = run("raise LookupError('why')", tmp_path)
    assert ended.returncode == 1
    assert "LookupError: why" in ended.stderr


def test_a_replaced_stderr_costs_no_exit_function(tmp_path: Path) -> None:
    ended = run("atexit.register(print, 'left'); sys.stderr = open('/dev/null', 'wb'); raise LookupError", tmp_path)
    assert (ended.stdout, ended.returncode) == ("left\n", 1)
