"""What is looked at in one event, and what is put off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from swell.engine.state.agenda import Agenda


def pools(*names: str) -> list[Any]:
    return [SimpleNamespace(id=name) for name in names]


def taken(agenda: Agenda) -> str:
    found = ""
    while (pool := agenda.take()) is not None:
        found += pool.id
    return found


def test_what_is_dirty_is_looked_at_once_and_in_order() -> None:
    agenda = Agenda()
    for pool in pools("b", "a", "b"):
        agenda.mark(pool)
    assert taken(agenda) == "ba"


def test_too_many_are_looked_at_in_ticks_and_the_events_own_come_first() -> None:
    agenda = Agenda()
    agenda.bound(looks=2, changes=10)
    for pool in pools(*"abcde"):
        agenda.mark(pool)
    assert taken(agenda) == "ab"
    agenda.begin()
    agenda.mark(*pools("x"))
    assert taken(agenda) == "x", "another event does not look at what was put off"
    agenda.begin_tick()
    agenda.mark(*pools("y"))
    assert taken(agenda) == "yc"
    agenda.begin_tick()
    assert taken(agenda) == "d"
    agenda.begin_tick()
    assert taken(agenda) == "e"
    assert not agenda.later


def test_who_is_looked_at_is_not_put_off_any_more() -> None:
    agenda = Agenda()
    [pool] = pools("a")
    agenda.put_off(pool)
    agenda.mark(pool)
    assert taken(agenda) == "a"
    assert not agenda.later


def test_a_tick_whose_changes_are_spent_leaves_the_others_where_they_were() -> None:
    agenda = Agenda()
    agenda.bound(looks=10, changes=1)
    for pool in pools(*"ab"):
        agenda.put_off(pool)
    agenda.begin_tick()
    assert agenda.take() is not None
    assert not agenda.is_spent
    agenda.spend()
    assert agenda.is_spent
    assert agenda.take() is None
    assert list(agenda.later) == ["b"]


def test_who_is_gone_is_not_looked_at() -> None:
    agenda = Agenda()
    first, second = pools("a", "b")
    agenda.mark(first)
    agenda.put_off(second)
    agenda.forget(first)
    agenda.forget(second)
    agenda.begin_tick()
    assert taken(agenda) == ""
