"""The edge's process: started when it is needed, restarted when it ends, ended with the server.

It is a client like others, and a process of its own so that what comes from the network has neither the engine's memory
nor its time. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys

from swell.errors import InvalidError
from swell.private_files import read_file, replace_file
from swell.server.background_tasks import BackgroundTasks
from swell.server.paths import ServerPaths

__all__ = ["EdgeProcess"]

log = logging.getLogger("swell.server")

PAUSE_S = 0.5  #: before it is restarted; doubles with every exit
PAUSE_MAX_S = 30.0
LASTED_S = 60.0  #: after running for so long, the next pause is PAUSE_S again
LEAVE_S = 5.0  #: how long it may take to end


class EdgeProcess:
    """Keeps an edge running from `ensure_running` to `stop`."""

    def __init__(self, paths: ServerPaths) -> None:
        self._paths = paths
        self._is_started = False
        self._is_over = False
        self._lifeline = -1
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = BackgroundTasks()

    def ensure_running(self) -> None:
        """Start an edge if there is none."""
        if not self._is_started:
            self._is_started = True
            self._tasks.run(self._keep(), self._given_up)

    async def stop(self) -> None:
        """End it, and wait until it has ended. Safe to call twice."""
        self._is_over = True
        process = self._process
        self._close_lifeline()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()  # it may not have begun to watch its lifeline
            try:
                await asyncio.wait_for(process.wait(), LEAVE_S)
            except TimeoutError:
                log.warning("the edge did not end by itself; it is killed")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _given_up(self, error: Exception) -> None:
        log.critical("a defect: the edge is not started again, and nothing answers HTTP", exc_info=error)

    def _write_token(self) -> None:
        """Make the token of the admin surface, unless a former server has made it."""
        path = self._paths.admin_token_path
        with contextlib.suppress(FileNotFoundError):
            if read_file(path, is_secret=True):
                return
        replace_file(path, secrets.token_urlsafe(32).encode())

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), PAUSE_S
        while not self._is_over:
            began = loop.time()
            why = await self._run()
            if self._is_over:
                return
            pause = PAUSE_S if loop.time() - began > LASTED_S else min(pause * 2, PAUSE_MAX_S)
            log.error("the edge %s; it is started again in %g s", why, pause)
            await asyncio.sleep(pause)

    async def _run(self) -> str:
        """Run it once; return how it ended."""
        try:
            self._write_token()
        except (OSError, InvalidError) as error:
            return f"could not be given a token: {error}"
        hold, self._lifeline = os.pipe()
        command = (
            sys.executable,
            "-P",  # a module of the user's must not replace one of the standard library
            "-m",
            "swell.edge.main",
            f"--server={self._paths.address}",
            f"--web-dir={self._paths.web_dir}",
            f"--admin-token-file={self._paths.admin_token_path}",
            f"--lifeline-fd={hold}",
            *(("--any-port",) if self._paths.data_dir is None else ()),
        )
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(hold,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal must not reach it
            )
        except OSError as error:
            self._close_lifeline()
            return f"could not be started: {error}"
        finally:
            os.close(hold)
        code = await process.wait()
        self._process = None
        self._close_lifeline()
        return f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
