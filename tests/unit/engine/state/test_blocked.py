"""Whose turn it is when room has come."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from swell.engine.state.blocked import Blocked


def pool(name: str, live: int = 0) -> Any:
    return SimpleNamespace(id=name, fleet=SimpleNamespace(live=live))


def blocked(*pools: Any) -> Blocked:
    found = Blocked()
    for each in pools:
        found.add(each, is_paced=False, has_grown=False)
    return found


def names(pools: Iterable[Any]) -> str:
    return "".join(pool.id for pool in pools)


def fails(found: Blocked, asked: list[Any]) -> list[Any]:
    """Let a pool that was asked be able to start nothing; return who is asked next."""
    [one] = asked
    return found.add(one, is_paced=False, has_grown=False)


def test_the_first_of_each_queue_is_asked() -> None:
    found = blocked(pool("x", 1), pool("a"), pool("y", 1), pool("b"))
    assert names(found.room_came()) == "ax"
    assert names(found.room_can_be_made()) == "a"


def test_one_that_cannot_use_what_came_goes_to_the_back_and_few_others_are_tried() -> None:
    found = blocked(*(pool(name) for name in "abcde"))
    asked = found.room_came()
    assert names(asked) == "a"
    asked = fails(found, asked)
    assert names(asked) == "b"
    assert fails(found, asked) == []
    assert names(found) == "cdeab"
    assert names(found.room_came()) == "c"


def test_the_next_is_asked_while_they_can_use_what_came_and_the_last_keeps_its_place() -> None:
    found = blocked(*(pool(name) for name in "abcd"))
    asked = found.room_came()
    for expected in "bc":
        asked = found.remove(*asked)
        assert names(asked) == expected
    assert fails(found, asked) == []
    assert names(found) == "cd", "what came is used up"


def test_one_that_could_use_some_of_it_goes_to_the_back() -> None:
    found = blocked(pool("a", 1), pool("b", 1))
    [asked] = found.room_came()
    assert names(found.add(asked, is_paced=False, has_grown=True)) == "b"
    assert names(found) == "ba"


def test_only_who_was_asked_answers() -> None:
    pools = [pool(name) for name in "abc"]
    found = blocked(*pools)
    found.room_came()
    assert found.add(pools[1], is_paced=False, has_grown=False) == []
    assert found.remove(pools[2]) == []
    assert names(found) == "ab"


def test_looks_go_on_until_everybody_was_looked_at_since_room_came() -> None:
    found = blocked(*(pool(name) for name in "abcdef"))
    assert not found.wants_look, "all are full, and nothing has changed"
    fails(found, fails(found, found.room_came()))
    assert found.wants_look
    assert names(found.nodes_observed(2)) == "cd"
    assert found.wants_look
    assert names(found.nodes_observed(3)) == "efa"
    assert not found.wants_look


def test_looks_go_on_while_one_waits_for_a_nodes_pace() -> None:
    one = pool("a")
    found = blocked(one)
    found.add(one, is_paced=True, has_grown=False)
    assert found.wants_look
    found.add(one, is_paced=False, has_grown=False)
    assert not found.wants_look
    found.add(one, is_paced=True, has_grown=False)
    found.remove(one)
    assert not found.wants_look
    assert "a" not in found


def test_who_got_a_container_is_not_starved_any_more_and_the_next_has_its_turn() -> None:
    found = blocked(pool("a"), pool("b"))
    [asked] = found.room_came()
    asked.fleet.live = 1
    assert names(found.add(asked, is_paced=False, has_grown=True)) == "b"
    assert names(found.starved) == "b"
    assert names(found) == "ba"
