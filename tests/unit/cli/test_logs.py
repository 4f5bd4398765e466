"""What is meant by the options of `swell app logs`."""

from __future__ import annotations

import click
import pytest

from swell.cli.logs import TAIL, Reading


def test_if_nothing_is_said_the_latest_are_meant() -> None:
    assert Reading().checked().tail == TAIL
    assert Reading(follow=True).checked() == Reading(follow=True, tail=TAIL)
    assert Reading(until=5.0).checked().tail == TAIL


def test_since_means_everything_since() -> None:
    assert Reading(since=5.0).checked().tail is None
    assert Reading(since=5.0, tail=3).checked().tail == 3


@pytest.mark.parametrize("options", [{"since": 5.0}, {"until": 5.0}, {"tail": 3}])
def test_following_begins_with_the_latest(options: dict[str, float]) -> None:
    with pytest.raises(click.UsageError, match="--follow"):
        Reading(follow=True, **options).checked()  # pyright: ignore[reportArgumentType]
