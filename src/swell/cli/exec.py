"""`swell container exec`: a command beside a container, wherever that runs, on this terminal.

The machine of the container runs the command, in a terminal of its own if this is one; keys, output, the size of the
terminal and signals pass between the two. When this process is gone, so is the command. This module must not know how
a container or a command is started.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Final

import click

from swell.cli.options import environment_option
from swell.cli.resolve import resolve_container
from swell.cli.show import terminal
from swell.errors import Error, InvalidError, from_wire
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import daemon_client
from swell.sdk.connection.link import BlockingLink
from swell.signals import is_ignored
from swell.wire.codec import encode
from swell.wire.exec import WINDOW, Ended, Input, Output, Read, Refused, Resize, Run, Signal, ToCommand, Took, for_user
from swell.wire.messages import Exec, ExecBytes, Failed

__all__ = ["exec_"]

#: Variables of this terminal, not of the program that the container's code came from.
_OF_THIS_TERMINAL: Final = ("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR")
#: What the command is sent in place of this process.
_PASSED_ON: Final = frozenset(
    (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
)
STDIN: Final = 0
CHUNK: Final = 64 << 10  #: bytes of one read

EXAMPLES: Final = """\b
Examples:
  swell container exec ta-K7QF2M bash
  swell container exec ta-K7QF2M python -c 'import torch; print(torch.cuda.device_count())'
  swell container exec ta-K7QF2M nvidia-smi
"""


def _without_dashes(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command, without a "--" that sets it apart."""
    command = words[1:] if words[:1] == ("--",) else words
    if not command:
        raise click.MissingParameter(ctx=context, param=parameter)
    return command


@click.command(
    "exec",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in the environment of one.",
)
@click.option(
    "--pty/--no-pty", default=None, help="Whether the command gets a terminal; by default it does if this is one."
)
@environment_option
@click.argument("container_meant_by", metavar="ID")
@click.argument(
    "command", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED, callback=_without_dashes
)
def exec_(pty: bool | None, container_meant_by: str, command: tuple[str, ...]) -> None:
    """Run a command in the environment of a container: its machine, variables, directory, GPUs and Python.

    The exit code is that of the command, or 128 and the number of the signal that ended it. The command goes on when
    the container ends, and ends when its terminal is closed.
    """
    is_terminal = os.isatty(STDIN) and sys.stdout.isatty()
    if pty and not is_terminal:
        raise click.UsageError("--pty needs a terminal on standard input and output; leave it out")
    session = _Session(daemon_client().new_link(), has_terminal=is_terminal if pty is None else pty)
    terminal.flush()
    sys.exit(session.run(resolve_container(container_meant_by), command))


class _Session:
    """A command, and this terminal.

    Three threads: this one passes on what the command writes, one what is typed, and one signals.
    """

    def __init__(self, link: BlockingLink, *, has_terminal: bool) -> None:
        self._link = link
        self._has_terminal = has_terminal
        self._request = link.next_request()
        self._mailbox = link.open(self._request)
        self._decoder = for_user()
        self._credit = WINDOW  # bytes of input that may be sent
        self._credit_given = threading.Condition()

    def run(self, container_id: str, command: Sequence[str]) -> int:
        """Run the command; return its exit code.

        Raises:
            Error: it could not be started, or the server is gone.
        """
        passed_on = {number for number in _PASSED_ON if not is_ignored(number)}
        signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # for one thread to take them, between two calls
        run = Run(
            command=[os.fsencode(word) for word in command],
            variables={name: os.environ[name] for name in _OF_THIS_TERMINAL if name in os.environ},
            terminal=termios.tcgetwinsize(STDIN) if self._has_terminal else None,
        )
        with _raw_terminal() if self._has_terminal else nullcontext():
            self._link.send(Exec(self._request, container_id), encode(run))
            threading.Thread(target=self._pass_on_input, daemon=True).start()
            threading.Thread(target=self._pass_on_signals, args=(passed_on,), daemon=True).start()
            return self._pass_on_output()

    def _pass_on_output(self) -> int:
        """Write what the command writes; return its exit code."""
        while True:
            message, data = run_blocking(self._link.receive(self._mailbox))
            if isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            for word, payload in self._decoder.feed(data):
                match word:
                    case Output(stream):
                        terminal.copy(stream, payload)
                        self._tell(Read(len(payload)))
                    case Took(count):
                        with self._credit_given:
                            self._credit += count
                            self._credit_given.notify()
                    case Ended(status):
                        return status if status >= 0 else 128 - status
                    case Refused(text):
                        raise InvalidError(text)

    def _pass_on_input(self) -> None:
        """Send what comes on stdin, as far as the command reads it."""
        data = b"-"
        while data:
            with self._credit_given:
                self._credit_given.wait_for(lambda: self._credit)
            try:
                data = os.read(STDIN, min(CHUNK, self._credit))
            except OSError:  # the terminal is gone, or there has never been a stdin
                data = b""
            with self._credit_given:
                self._credit -= len(data)
            self._tell(Input(is_last=not data), data)

    def _pass_on_signals(self, numbers: set[signal.Signals]) -> None:
        while True:
            number = signal.sigwait(numbers)
            if number != signal.SIGWINCH:
                self._tell(Signal(number))
            elif self._has_terminal:
                self._tell(Resize(*termios.tcgetwinsize(STDIN)))

    def _tell(self, word: ToCommand, payload: bytes = b"") -> None:
        with suppress(Error):  # the server is gone, as who reads from it will find
            self._link.send(ExecBytes(self._request), encode(word, payload))


@contextmanager
def _raw_terminal() -> Generator[None]:
    """Have this terminal pass on every key as it is: that of the command gives keys their meaning."""
    before = termios.tcgetattr(STDIN)
    tty.setraw(STDIN)
    try:
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
