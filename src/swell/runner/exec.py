"""The process of a command beside a container: it enters the container's surroundings, and becomes the command.

It is no child of the container, and goes on when that ends. This module must not know who wants the command, or where
what it writes goes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from collections.abc import Sequence
from typing import Final

import swell.linux as linux
from swell.errors import InvalidError
from swell.runner.loader import enter_environment
from swell.wire.template import ExecSpec

__all__ = ["run_command"]

# As shells report them.
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127


def run_command(spec: ExecSpec, streams: Sequence[int], lifeline: int) -> int:
    """Become a command; return the exit code if that is not possible.

    Args:
        spec: The command, and the container's surroundings.
        streams: Descriptors that become stdin, stdout and stderr.
        lifeline: When its other end closes, the kernel kills this process group.
    """
    _begin_session(streams, lifeline, has_terminal=spec.has_terminal)
    program = os.fsdecode(spec.command[0])
    try:
        _enter(spec)
        os.execvp(program, spec.command)
    except InvalidError as error:
        return _fail(str(error), 1)
    except FileNotFoundError:
        return _fail(f"{program}: there is no such command where the container runs", NOT_FOUND)
    except (OSError, ValueError) as error:
        return _fail(f"{program}: {error.strerror if isinstance(error, OSError) else error}", NOT_EXECUTABLE)


def _begin_session(streams: Sequence[int], lifeline: int, *, has_terminal: bool) -> None:
    """Give this process a session, standard streams and the signals of a new program."""
    os.setsid()
    linux.adopt_orphans()  # so that the template adopts orphans of dead children only
    for fd, target in zip(streams, range(3), strict=True):
        os.dup2(fd, target)
        os.close(fd)
    if has_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    linux.die_when_closed(lifeline)
    os.set_inheritable(lifeline, True)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # Python has its own ways with these
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _enter(spec: ExecSpec) -> None:
    environment = spec.environment
    enter_environment(environment, spec.spec, spec.variables)
    if environment.bundle_dir:  # so that Python finds the code as it was deployed, and not as it lies in the directory
        os.environ["PYTHONSAFEPATH"] = "1"
        if "PYTHONPATH" not in spec.spec.variables:
            path = (environment.bundle_dir, environment.variables.get("PYTHONPATH"))
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    programs = (os.path.dirname(environment.python), os.environ.get("PATH", os.defpath))
    os.environ["PATH"] = os.pathsep.join(filter(None, programs))


def _fail(why: str, code: int) -> int:
    sys.stderr.write(f"{why}\n")
    return code
