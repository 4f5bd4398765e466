"""Log lines of containers, read back or followed: the options that select them, and how they are printed.

This module must not know which command reads, or where lines are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import click
from msgspec.structs import replace

from swell.cli import exit_codes
from swell.cli.rpc import ask
from swell.cli.show import terminal
from swell.cli.show.json_output import fields_of, print_json_line
from swell.cli.show.numbers import WholeNumber
from swell.cli.show.times import TimeParam, local, time_text
from swell.documents.logs import log_lines
from swell.errors import from_wire
from swell.names import shown_name
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import daemon_client
from swell.sdk.connection.output import has_colour, led_lines, log_lead
from swell.wire.messages import Done, Failed
from swell.wire.queries import AppDescription, DescribeApp, LogEntry, ReadLogs

__all__ = ["Reading", "log_options", "print_logs"]

TAIL: Final = 100  #: entries shown by default

F = TypeVar("F", bound=Callable[..., Any])


class Reading(NamedTuple):
    """Which entries are wanted, and how they are printed."""

    follow: bool = False
    since: float | None = None  #: seconds since the epoch
    until: float | None = None
    tail: int | None = None  #: at most so many entries, the latest
    search: str = ""
    source: str | None = None  #: only this stream
    timestamps: bool = False
    show_function_id: bool = False
    show_function_call_id: bool = False
    show_container_id: bool = False
    as_json: bool = False  #: a line of JSON for each line, with all that is known of it

    def checked(self) -> Reading:
        """Return it with its defaults filled in.

        Raises:
            UsageError: two options contradict each other.
        """
        if self.follow and (self.since is not None or self.until is not None or self.tail is not None):
            raise click.UsageError(
                "--follow begins with the latest entries: it goes without --since, --until and --tail"
            )
        is_open = self.since is None and self.tail is None
        return self._replace(tail=TAIL) if is_open else self


_OPTIONS: Final = (
    click.option("-f", "--follow", is_flag=True, help="Show new entries, too, until Ctrl-C."),
    click.option("--since", type=TimeParam(), help="Only entries from then on: 45s, 30m, 2h, 1d ago, or ISO 8601."),
    click.option("--until", type=TimeParam(), help="Only entries until then."),
    click.option(
        "-n",
        "--tail",
        type=WholeNumber(min=1),
        help=f"At most so many entries, the latest; {TAIL} without --since.",
    ),
    click.option("--search", default="", metavar="TEXT", help="Only entries that have this text in them."),
    click.option("-s", "--source", type=click.Choice(["stdout", "stderr", "system"]), help="Only this stream."),
    click.option("--timestamps", is_flag=True, help="Begin every line with its time."),
    click.option("--show-function-id", is_flag=True, help="Show the id of the function in every line."),
    click.option("--show-function-call-id", is_flag=True, help="Show the calls whose inputs ran when it was written."),
    click.option("--show-container-id", is_flag=True, help="Show the id of the container in full."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON: an object for each line, on a line of its own."),
)


def log_options(command: F) -> F:
    """Give a command the options of `Reading`, of the same names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def print_logs(app_id: str, reading: Reading, *, function: str = "", call_id: str = "", container_id: str = "") -> None:
    """Print entries and, with `follow`, new ones until the App or container has ended or the user presses Ctrl-C.

    Raises:
        Error: the server cannot read them; the message tells why.
    """
    question = ReadLogs(
        request=0,
        app=app_id,
        container_id=container_id,
        function=function,
        call_id=call_id,
        stream=reading.source or "",
        search=reading.search,
        since=reading.since,
        until=reading.until,
        tail=reading.tail,
        follow=reading.follow,
    )
    lead, found = _Lead(reading), False
    try:
        for entry, payload in _entries(question):
            found = True
            if reading.as_json:
                for line in log_lines(entry, payload):
                    print_json_line(fields_of(line))
                continue
            text = payload.decode()
            lines = led_lines(lead.of(entry), entry.stream, text, colour=has_colour(sys.stdout))
            terminal.write_log_lines(lines, flush_now=reading.follow)
    except KeyboardInterrupt:
        if reading.follow:  # the usual end of following
            sys.exit(exit_codes.INTERRUPTED)
        raise
    if not found and not reading.follow:
        terminal.line("nothing like that was written, or it is no longer kept", err=True)


def _entries(question: ReadLogs) -> Iterator[tuple[LogEntry, bytes]]:
    """Yield entries until the server has no more."""
    link = daemon_client().blocking_link()
    request = link.next_request()
    box = link.open(request)
    try:
        link.send(replace(question, request=request))
        while True:
            message, payload = run_blocking(link.receive(box))
            match message:
                case LogEntry():
                    yield message, payload
                case Done():
                    return
                case Failed():
                    raise from_wire(message.code, message.text, message.fields)
                case _:
                    pass
    finally:
        link.close(box)


class _Lead:
    """Makes the lead of the lines of an entry."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._function_ids: dict[str, dict[str, str]] = {}  # by app

    def of(self, entry: LogEntry) -> str:
        """Return it, as in "square ta-K7QF2M|"."""
        reading, name = self._reading, shown_name(entry.function_name)
        words = [time_text(local(entry.at))] if reading.timestamps else []
        if reading.show_function_id:
            words.append(self._function_id(entry))
        words += entry.call_ids if reading.show_function_call_id else []
        words.append(
            f"{name} {entry.container_id}|" if reading.show_container_id else log_lead(name, entry.container_id)
        )
        return " ".join(word for word in words if word)

    def _function_id(self, entry: LogEntry) -> str:
        known = self._function_ids.get(entry.app_id)
        if known is None:
            found = ask(AppDescription, lambda request: DescribeApp(request, entry.app_id))
            known = self._function_ids[entry.app_id] = {row.name: row.function_id for row in found.functions}
        return known.get(entry.function_name, "")
