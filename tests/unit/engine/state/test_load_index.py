"""The index of loads against a plain list that is searched, and the roster against a set."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from swell.engine.state.load_index import LoadIndex
from swell.engine.state.roster import Roster


def container(name: str) -> Any:
    """Of a container, both know nothing but its id."""
    return SimpleNamespace(id=name)


@pytest.mark.parametrize("seed", range(5))
def test_the_fullest_and_the_emptiest_are_those_of_a_search(seed: int) -> None:
    dice, index = random.Random(seed), LoadIndex()
    loads: dict[str, tuple[int, int]] = {}  # by container: the load, and when it got it
    containers = [container(str(number)) for number in range(20)]
    for step in range(5_000):
        each, load = dice.choice(containers), dice.randrange(40)
        if dice.random() < 0.3:
            index.remove(each.id)
            loads.pop(each.id, None)
        else:
            index.put(each, load)
            if loads.get(each.id, (None,))[0] != load:
                loads[each.id] = (load, step)
        below = dice.randrange(42)
        room = {name: carried for name, carried in loads.items() if carried[0] < below}
        for found, among, best in (
            (index.emptiest(), loads, lambda carried: (-carried[0], carried[1])),
            (index.fullest(), loads, lambda carried: carried),
            (index.fullest(below), room, lambda carried: carried),
        ):
            expected = max(among, key=lambda name: best(among[name]), default=None)
            assert (found.id if found else None) == expected
    assert len(index) == len(loads)


def test_an_empty_index_finds_nothing() -> None:
    index = LoadIndex()
    assert index.emptiest() is index.fullest() is index.fullest(below=7) is None
    index.put(container("a"), 0)
    assert index.fullest(below=0) is None
    assert index.emptiest() is index.fullest() is index.fullest(below=1) is not None


def test_a_roster_has_all_that_came_and_did_not_leave() -> None:
    dice, roster, there = random.Random(1), Roster(), set[str]()
    for _ in range(2_000):
        name = str(dice.randrange(60))
        if name in there or dice.random() < 0.2:
            roster.remove(name)
            there.discard(name)
        else:
            roster.add(container(name))
            there.add(name)
        seats = [each.id for each in roster.sample(1_000)]
        assert len(seats) == len(there) and set(seats) == there


def test_a_sample_is_spread_over_all() -> None:
    roster = Roster()
    assert roster.sample(5) == []
    for number in range(1_000):
        roster.add(container(str(number)))
    sample = [int(each.id) for each in roster.sample(64)]
    assert len(sample) == 63 and sample[0] == 0 and sample[-1] > 980
