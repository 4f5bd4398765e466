"""Starts a server process in the background, and ends it together with all that it has started.

This module must not know what the server does, or what is printed about it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from swell.errors import InvalidError, TimeoutError
from swell.private_files import open_file, read_file
from swell.server.data_directory import READY, holder, make_data_dir, unwritable
from swell.server.server_log import LOG_BYTES_MAX, log_path, older_path

if TYPE_CHECKING:
    import psutil

__all__ = ["end", "launch", "log_path", "turn"]

LOG_LINES_SHOWN: Final = 20
ORPHANS_MAX_S: Final = 5.0  #: how long processes of a server may outlive it: they are being killed then


@contextmanager
def turn(data_dir: Path) -> Generator[None]:
    """Hold the lock for starting a server on a data directory; others wait for it.

    Raises:
        InvalidError: the directory cannot be made, or is not for this user.
    """
    make_data_dir(data_dir)
    try:
        directory = os.open(data_dir, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unwritable(data_dir, error) from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


# ---------------------------------------------------------------- starting


def launch(data_dir: Path) -> int:
    """Start a server that outlives this process; return its pid when it accepts clients.

    Raises:
        InvalidError: it could not start; the text is that of the server.
    """
    read_end, write_end = os.pipe()
    try:
        with _open_log(data_dir) as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # a module of the user's must not stand in for one of the standard library
                    "-m",
                    "swell.server.main",
                    f"--data-dir={data_dir}",
                    f"--ready-fd={write_end}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[write_end],
                cwd="/",  # or the present directory could not be unmounted
                env=_environment(),
                start_new_session=True,  # it outlives this terminal
            )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    try:
        with open(read_end, encoding="utf-8") as ready:
            text = ready.read()
    except BaseException:  # Ctrl-C: no server may be left that nobody saw start
        process.terminate()
        raise
    if text == READY:
        return process.pid
    code = process.wait()
    raise InvalidError(text or f"the server ended with code {code} before it was up; {_end_of_log(data_dir)}")


def _open_log(data_dir: Path) -> BinaryIO:
    path = log_path(data_dir)
    try:
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.rename(older_path(data_dir))
        return open(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
    except OSError as error:
        raise unwritable(data_dir, error) from None


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    path = environment.get("PYTHONPATH")
    if path:  # relative entries mean this directory
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return environment


def _end_of_log(data_dir: Path) -> str:
    path = log_path(data_dir)
    lines = read_file(path).decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join([f"the end of {path}:", *lines])


# ---------------------------------------------------------------- ending


def end(data_dir: Path, patience_s: float) -> int | None:
    """End the server of a data directory, and wait until all its processes have exited.

    Returns:
        Its pid, None if there is none.

    Raises:
        InvalidError: it belongs to another user, or runs in another pid namespace.
        TimeoutError: it takes longer than `patience_s`.
    """
    import psutil

    pid = holder(data_dir)
    if pid is None:
        return None
    if pid == 0:
        raise InvalidError(f"the server that has {data_dir} runs where it cannot be seen from here: stop it there")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:  # at this moment
        return None
    try:
        if holder(data_dir) != pid:  # likewise, and its number may mean another process by now
            return None
        family = psutil.Process(pid).children(recursive=True)
        signal.pidfd_send_signal(process, signal.SIGTERM)
        until = time.monotonic() + patience_s
        if not select.select([process], [], [], patience_s)[0]:
            raise TimeoutError(
                f"the server (pid {pid}) has not ended within {patience_s:g} s: what runs may take its time to finish "
                f"(exit_grace_s). Wait with `swell stop --timeout`, or end it and all that it runs by: kill -9 {pid}"
            )
        _wait_for(family, max(ORPHANS_MAX_S, until - time.monotonic()))
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except PermissionError:
        raise InvalidError(f"the server (pid {pid}) belongs to another user, who can stop it") from None
    finally:
        os.close(process)
    return pid


def _wait_for(family: Iterable[psutil.Process], patience_s: float) -> None:
    """Wait until processes have exited. Each notices by itself that the server has ended."""
    import psutil

    _, left = psutil.wait_procs(list(family), timeout=patience_s)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise TimeoutError(f"the server has ended, but processes that it started are still there: {pids}")
