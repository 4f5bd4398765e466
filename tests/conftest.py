"""What every test gets: an environment of its own, and the proof that a run leaves no process behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

#: Every process that a test starts inherits it, however far it wanders from its parent. Templates inherit only what
#: shapes an interpreter's start, which is what the name pretends to do.
MARK = "PYTHON_SWELL_TEST_RUN"
LEAVE_S = 5.0  #: how long after the last test swell's processes may take to go


def pytest_configure(config: pytest.Config) -> None:
    """Hide the developer's own settings, servers and home from the tests."""
    for name in [name for name in os.environ if name.startswith("SWELL_")]:
        del os.environ[name]
    os.environ |= {"SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0"}  # any: several servers run at once
    # Short, because the path of a Unix socket may have 107 bytes at most.
    home = tempfile.mkdtemp(prefix="swell-t-", dir="/tmp")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[name] = home
    os.environ[MARK] = uuid.uuid4().hex


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the run if a process that some test started outlives the last test."""
    yield
    deadline = time.monotonic() + LEAVE_S
    while (left := _started_here()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "processes are left behind: " + "; ".join(left)


def _started_here() -> list[str]:
    mark, me, found = os.environ[MARK], os.getpid(), list[str]()
    for process in psutil.process_iter():
        try:
            if process.pid != me and process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent
