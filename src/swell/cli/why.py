"""`swell why`: shows what happened to an input, a call, a container or a function, when, and where its time went.

This module must not know how a story comes about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import click

from swell.cli.options import environment_option, json_option
from swell.cli.reference import near
from swell.cli.resolve import resolve_container
from swell.cli.rpc import ask
from swell.cli.show import terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.times import local, time_text
from swell.documents.stories import story_told
from swell.errors import NotFoundError
from swell.names import shown_name
from swell.wire.queries import AppDescription, AppList, AskStory, DescribeApp, ListApps, Story, StoryPart

__all__ = ["Share", "shares", "why"]

EXAMPLES: Final = """\b
Examples:
  swell why squares.square                       a function: why that many containers
  swell why fc-a13b7e7e98442b5b46caf4            a call
  swell why in-a13b7e7e98442b5b46caf4:7          an input: where its time went
  swell why ta-K7QF2M                            a container
"""


class Share(NamedTuple):
    """A stretch of time, rounded so that the stretches of a whole add up to it."""

    name: str
    ms: int
    percent: int


@click.command(epilog=EXAMPLES, short_help="Show what happened to something, and why.")
@click.argument("about", metavar="ID")
@json_option
@environment_option
def why(about: str, as_json: bool) -> None:
    """Show what happened to an input, a call, a container, or a function as APP.FUNCTION: when, and why.

    Then show where its time went. The server remembers a story while it goes on and some time after; of what ended
    before the server was restarted, only the outline.
    """
    meant = resolve_container(about) if about.startswith("ta-") else about
    try:
        story = ask(Story, lambda request: AskStory(request, meant))
    except NotFoundError as error:
        raise NotFoundError(f"{error}{near(about, _functions())}") from None
    if as_json:
        print_json(fields_of(story_told(story)))
    else:
        _print(story)


def _functions() -> Iterator[str]:
    """Yield the functions that run, as APP.FUNCTION."""
    for app in ask(AppList, ListApps).apps:
        if app.state != "stopped":
            found = ask(AppDescription, partial(DescribeApp, app=app.app_id))
            yield from (f"{app.name}.{shown_name(row.name)}" for row in found.functions)


def shares(parts: Sequence[StoryPart]) -> list[Share]:
    """Return the parts in milliseconds and percent. Rounded are their ends, so that the lengths add up exactly.

    Example: parts of 0.4, 0.4 and 0.4 ms end at 0.4, 0.8 and 1.2, rounded 0, 1, 1: they took 0, 1 and 0 of 1 ms.
    """
    total_s = sum(part.seconds for part in parts)
    found: list[Share] = []
    end_s, ms, percent = 0.0, 0, 0
    for part in parts:
        end_s += part.seconds
        ms_end, percent_end = round(end_s * 1_000), round(end_s / total_s * 100) if total_s else 0
        found.append(Share(part.name, ms_end - ms, percent_end - percent))
        ms, percent = ms_end, percent_end
    return found


def _print(story: Story) -> None:
    terminal.line(f"{story.title}: {story.state}", bold=True)
    if story.lines:
        began = story.lines[0].at
        terminal.line(f"  began {time_text(local(began))}")
        terminal.line()
        offsets = [f"+{line.at - began:,.3f} s" for line in story.lines]
        width = max(map(len, offsets))
        for offset, line in zip(offsets, story.lines, strict=True):
            terminal.line(f"  {offset:>{width}}  {line.text}")
    if story.parts:
        terminal.line()
        parts = shares(story.parts)
        rows = [*parts, Share("in all", sum(part.ms for part in parts), sum(part.percent for part in parts))]
        width = max(len(row.name) for row in rows)
        times = [f"{row.ms / 1_000:,.3f} s" for row in rows]
        for row, time in zip(rows, times, strict=True):
            terminal.line(f"  {row.name:<{width}}  {time:>{max(map(len, times))}}  {row.percent:>3} %")
