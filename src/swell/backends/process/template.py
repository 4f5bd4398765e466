"""The server's handle on one template process: starts it, sends it requests, notices its end.

The other end is `swell.runner.template`. This module must not know containers, orders or the engine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from swell.backends.process.capture import Capture
from swell.backends.process.channel import TemplateChannel
from swell.model import Environment
from swell.wire.template import RUN_DIR, Reply

__all__ = ["Interpreter", "TemplateHandle", "ending"]

STDERR_LINES_MAX = 20  #: last lines of a template's stderr, kept to explain its end


class Interpreter(Struct, frozen=True):
    """A Python and what shapes its start: what must be equal for two containers to come from one template."""

    python: str
    variables: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, environment: Environment) -> Interpreter:
        """Pick from a client's environment what the interpreter and the dynamic linker read at their start."""
        chosen = {name: value for name, value in environment.variables.items() if _shapes_start(name)}
        path = chosen.pop("PYTHONPATH", "")
        if path:  # relative entries mean the client's directory, not the template's
            chosen["PYTHONPATH"] = os.pathsep.join(
                os.path.join(environment.cwd, entry) for entry in path.split(os.pathsep)
            )
        return cls(environment.python, tuple(sorted(chosen.items())))

    @classmethod
    def own(cls, environ: Mapping[str, str]) -> Interpreter:
        """Return this process's own: the one that a client beside it most likely has, too."""
        try:
            here = os.getcwd()
        except FileNotFoundError:  # it has been deleted: nothing is found by a path that is relative to it
            here = "/"
        return cls.of(Environment(sys.executable, here, (), dict(environ)))

    @classmethod
    def portable(cls, environ: Mapping[str, str]) -> Interpreter:
        """Return this process's own, for portable environments: with all variables of this machine but swell's own."""
        own = cls.own(environ)
        variables = {name: value for name, value in environ.items() if not name.startswith("SWELL_")}
        return cls(own.python, tuple(sorted({**variables, **dict(own.variables)}.items())))


def _shapes_start(name: str) -> bool:
    return name in ("HOME", "LANG") or name.startswith(("PYTHON", "LD_", "LC_"))


class TemplateHandle:
    """One template process. Passes on its replies and then, once, how it ended, in words."""

    def __init__(
        self,
        interpreter: Interpreter,
        directory: str,
        program: str,
        on_reply: Callable[[TemplateHandle, Reply], None],
        on_end: Callable[[TemplateHandle, str], None],
    ) -> None:
        """Start the process. Needs a running event loop.

        Raises:
            OSError, ValueError: the interpreter cannot be started.
        """
        self.interpreter = interpreter
        self.is_open = False  #: it is ready to fork
        self.has_ended = False
        self._on_end = on_end
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES_MAX)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read_end, write_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [interpreter.python, "-P", "-m", "swell.runner.template", str(theirs.fileno()), directory, program],
                env={**dict(interpreter.variables), RUN_DIR: directory},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in the server's terminal must not reach templates
            )
        except (OSError, ValueError):
            os.close(read_end)
            ours.close()
            raise
        finally:
            os.close(write_end)
            theirs.close()
        self.channel = TemplateChannel(ours, lambda reply: on_reply(self, reply))
        self._output = Capture(read_end, 1000, lambda text: self._stderr.extend(text.splitlines()))
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._process_ended)

    async def stop(self, patience_s: float) -> None:
        """Have the template kill everything it forked and end; kill it if that takes longer than `patience_s`."""
        self.channel.finish_sending()
        try:
            await asyncio.wait_for(self._ended.wait(), patience_s)
        except TimeoutError:
            self._process.kill()
            await self._ended.wait()

    def _process_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._process.wait()  # returns at once: the pidfd says that it has ended
        self.channel.close()
        self._output.finish()
        self._ended.set()
        self.has_ended = True
        said = "\n".join(self._stderr)
        self._on_end(self, f"{ending(status)}: {said}" if said else ending(status))


def ending(status: int | None) -> str:
    """Describe how a process ended. A negative status is the signal that killed it; None means that it is unknown."""
    if status is None:
        return "ended; how is not known, as its template had died before"
    if status >= 0:
        return f"exited with code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"  # a real-time signal has no name
