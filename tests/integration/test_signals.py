"""Processes that swell starts for itself begin as on a terminal, whatever signals their parent ignored or blocked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from patience import patience

PROGRAM = """
import json, pathlib, subprocess
import psutil, swell

def dispositions(status):
    rows = dict(line.split(":", 1) for line in status.splitlines())
    return [int(rows[name], 16) for name in ("SigIgn", "SigBlk")]

app = swell.App("told")

@app.function(serialized=True)
def of_a_program():
    return dispositions(subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout)

@app.function(serialized=True)
@swell.asgi_app()
def site():
    pass

with app.run():
    site.get_web_url()  # there is an edge
    own = [of_a_program.remote()]
    names = ("swell.server.main", "swell.edge.main", "swell.runner.template")
    found = {name: [] for name in names}
    for process in psutil.Process().children(recursive=True):
        for name in names:
            if name in process.cmdline():
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                found[name].append(dispositions(status))
    print(json.dumps({"a program that a container starts": own, **found}))
"""

#: Ignored, and others blocked, in what it runs.
PARENT = """
import os, signal, sys
for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT", "SIGUSR1"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2, signal.SIGINT))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}  #: ignored by every Python


def numbers(mask: int) -> set[int]:
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_server_edge_template_and_what_containers_start_ignore_and_block_nothing(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-c", PARENT, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(60.0),
        env=os.environ | {"SWELL_WEB": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all(len(rows) >= 1 for rows in told.values()), told
    for name, rows in told.items():
        for ignored, blocked in rows:
            assert numbers(ignored) <= PYTHONS_OWN, name
            assert not numbers(blocked), name


def test_what_a_test_starts_is_ended_by_ctrl_c_whatever_this_run_ignores() -> None:
    told = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    ignored = dict(line.split(":", 1) for line in told.splitlines())["SigIgn"]
    assert not {signal.SIGINT, signal.SIGHUP} & numbers(int(ignored, 16))
