"""Deadlines: what is due comes out once, the longest due first, and what was forgotten does not."""

from __future__ import annotations

import random
from math import inf

from swell.engine.state.deadlines import Deadlines


def test_what_is_due_comes_out_once_and_in_order() -> None:
    deadlines = Deadlines()
    for key, at in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        deadlines.note(key, at)
    assert deadlines.next_at == 1.0
    assert deadlines.take_due(2.0, 10) == ["a", "b"]
    assert deadlines.take_due(2.0, 10) == []
    assert deadlines.next_at == 3.0


def test_no_more_come_out_than_are_asked_for() -> None:
    deadlines = Deadlines()
    for number in range(5):
        deadlines.note(str(number), 1.0)
    assert len(deadlines.take_due(1.0, 3)) == 3
    assert deadlines.next_at == 1.0, "the others are still due"
    assert len(deadlines.take_due(1.0, 3)) == 2
    assert deadlines.next_at == inf


def test_the_sooner_time_holds() -> None:
    deadlines = Deadlines()
    deadlines.note("a", 5.0)
    deadlines.note("a", 9.0)
    deadlines.note("a", 2.0)
    assert deadlines.times() == {"a": 2.0}
    assert deadlines.take_due(9.0, 10) == ["a"], "once, though it was noted at two times"


def test_it_agrees_with_a_dict_whatever_happens_and_keeps_little_of_what_is_over() -> None:
    dice = random.Random(5)
    deadlines, model = Deadlines(), dict[str, float]()
    for step in range(20_000):
        key, at = str(dice.randrange(50)), step + dice.random() * 100
        if dice.random() < 0.5:
            deadlines.note(key, at)
            model[key] = min(at, model.get(key, inf))
        elif dice.random() < 0.7:
            deadlines.forget(key)
            model.pop(key, None)
        else:
            due = deadlines.take_due(step, 3)
            assert due == sorted((each for each in model if model[each] <= step), key=lambda each: model[each])[:3]
            for each in due:
                del model[each]
        assert deadlines.times() == model
        assert deadlines.next_at == min(model.values(), default=inf)
    assert len(deadlines._heap) < 300, "of twenty thousand entries"  # pyright: ignore[reportPrivateUsage]
