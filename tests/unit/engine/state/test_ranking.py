"""Names in the order of their numbers."""

from __future__ import annotations

from random import Random

from swell.engine.state.ranking import Ranking


def test_the_least_comes_first_and_ties_go_by_name() -> None:
    ranking = Ranking()
    assert (ranking.first, ranking.least) == (None, None)
    for name, number in (("b", 2.0), ("c", 1.0), ("a", 2.0)):
        ranking.put(name, number)
    assert list(ranking) == ["c", "a", "b"]
    assert (ranking.first, ranking.least) == ("c", 1.0)


def test_a_name_has_one_place_whatever_it_had_before() -> None:
    ranking = Ranking()
    ranking.put("a", 1.0)
    ranking.put("b", 2.0)
    ranking.put("a", 3.0)
    ranking.remove("b")
    ranking.remove("b")
    assert ranking.numbers() == {"a": 3.0}
    assert "a" in ranking
    assert "b" not in ranking


def test_it_is_what_sorting_would_give() -> None:
    ranking, numbers, random = Ranking(), dict[str, float](), Random(1)
    for _ in range(1_000):
        name = f"n{random.randrange(20)}"
        if random.random() < 0.2:
            ranking.remove(name)
            numbers.pop(name, None)
        else:
            numbers[name] = random.randrange(5) * 0.1
            ranking.put(name, numbers[name])
        assert list(ranking) == sorted(numbers, key=lambda name: (numbers[name], name))
