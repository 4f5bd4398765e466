"""The parts of a story, rounded so that they add up."""

from __future__ import annotations

import random

from swell.cli.why import Share, shares
from swell.wire.queries import StoryPart


def parts(*seconds: float) -> list[StoryPart]:
    return [StoryPart(f"part {number}", each) for number, each in enumerate(seconds)]


def test_parts_and_their_share() -> None:
    assert shares(parts(0.03, 0.01)) == [Share("part 0", 30, 75), Share("part 1", 10, 25)]


def test_what_is_lost_in_one_part_is_found_in_another() -> None:
    thirds = shares(parts(1 / 3, 1 / 3, 1 / 3))
    assert [part.ms for part in thirds] == [333, 334, 333]
    assert [part.percent for part in thirds] == [33, 34, 33]


def test_they_add_up_whatever_they_are() -> None:
    chance = random.Random(7)
    for _ in range(200):
        lengths = [chance.random() ** 8 * 100 for _ in range(chance.randint(1, 12))]
        found = shares(parts(*lengths))
        assert sum(part.ms for part in found) == round(sum(lengths) * 1_000)
        assert sum(part.percent for part in found) == 100
        assert all(part.ms >= 0 and part.percent >= 0 for part in found)


def test_what_took_no_time_has_no_share() -> None:
    assert shares([]) == []
    assert shares(parts(0.0)) == [Share("part 0", 0, 0)]
