"""What every test gets: an environment and signals as on a terminal, time, and the proof that nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import pytest_timeout
from hypothesis import HealthCheck, settings

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "fuzz")]

from patience import limit_test, wait_until
from programs import Programs

#: Every process that a test starts inherits it, however far it wanders from its parent. Templates inherit only what
#: shapes an interpreter's start, which is what the name pretends to do.
MARK = "PYTHON_SWELL_TEST_RUN"
IGNORED = "PYTEST_IGNORED_SIGNALS"  #: those that a run was started with, for its workers
LEAVE_S = 5.0  #: how long after the last test swell's processes may take to go

# How long one example takes says how busy the machine is, so that none has a deadline. A few examples show a blunder at
# once; the tier `properties` runs the same tests with `--hypothesis-profile=many`.
for _name, _examples in (("few", 10), ("many", 200)):
    settings.register_profile(
        _name, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=_examples
    )
settings.load_profile("few")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the same tests run on another backend."""
    parser.addoption("--backend", default="process", help="where containers run: process (default) or agents")


def pytest_configure(config: pytest.Config) -> None:
    """Hide the developer's own settings, servers and home from the tests."""
    for name in [name for name in os.environ if name.startswith("SWELL_")]:
        del os.environ[name]
    os.environ |= {"SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0"}  # any: several servers run at once
    os.environ["SWELL_BACKEND"] = config.getoption("--backend")
    # Short, because the path of a Unix socket may have 107 bytes at most.
    home = tempfile.mkdtemp(prefix="swell-t-", dir="/tmp")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[name] = home
    os.environ[MARK] = uuid.uuid4().hex
    _ignore_by_handlers()


def _ignore_by_handlers() -> None:
    """Start every process with the signals of a terminal, though this run may be in the background, or under nohup.

    What is ignored stays so in programs that are started, and tests send them SIGINT and SIGHUP. What has a handler,
    though that does nothing, does not. The workers of a run ignore what the run does.
    """
    known = os.environ.get(IGNORED, "").split()
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN or number.name in known:
            signal.signal(number, _ignore)
            os.environ[IGNORED] = " ".join({*known, number.name})
            known = os.environ[IGNORED].split()


def _ignore(*_: object) -> None:
    pass


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool | None:
    """Let a test take longer on a busy machine before it is taken for one that hangs."""
    if settings.method != "signal":
        return None
    pytest_timeout.pytest_timeout_set_timer(item, settings)
    limit_test(settings.timeout)
    return True


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the run if a process that some test started outlives the last test."""
    yield
    wait_until(
        lambda: not _started_here(),
        lambda: "processes are left behind: " + "; ".join(_started_here()),
        seconds=LEAVE_S,
        pause_s=0.05,
    )


def _started_here() -> list[str]:
    mark, me, found = os.environ[MARK], os.getpid(), list[str]()
    for process in psutil.process_iter():
        try:
            if process.pid != me and process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Start programs that end with the test."""
    started = Programs()
    yield started
    started.end()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent
