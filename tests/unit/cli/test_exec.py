"""`swell container exec`: what of the line is the command."""

from __future__ import annotations

import click
import pytest

from swell.cli.exec import exec_


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("ta-A ls -l", ("ls", "-l")),
        ("ta-A -- ls -l", ("ls", "-l")),
        ("-- ta-A ls -l", ("ls", "-l")),
        ("--no-pty ta-A -- ls -- -l", ("ls", "--", "-l")),
        ("ta-A ls --no-pty", ("ls", "--no-pty")),
    ],
)
def test_dashes_set_the_command_apart_and_are_no_part_of_it(line: str, command: tuple[str, ...]) -> None:
    context = exec_.make_context("exec", line.split())
    assert context.params["container_meant_by"] == "ta-A"
    assert context.params["command"] == command


@pytest.mark.parametrize("line", ["ta-A", "ta-A --"])
def test_without_a_command_it_is_missed(line: str) -> None:
    with pytest.raises(click.MissingParameter) as raised:
        exec_.make_context("exec", line.split())
    assert "Missing argument 'COMMAND...'" in raised.value.format_message()
