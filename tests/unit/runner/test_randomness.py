"""Generators that nobody seeded differ between containers of a snapshot; those that the user seeded are kept."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

from swell.runner.randomness import Generators, GeneratorWatch


@pytest.fixture(autouse=True)
def untouched_generators() -> Iterator[None]:
    plain, of_numpy = random.getstate(), numpy.random.get_state()
    yield
    random.setstate(plain)
    numpy.random.set_state(of_numpy)


def drawn(make: Callable[[], Any], draw: Callable[[Any], Any], containers: int = 3) -> set[Any]:
    """Return what containers draw of a generator that was made for a snapshot."""
    with GeneratorWatch() as watch:
        made = make()
    found = watch.found()
    return {draw_in_container(found, made, draw, draw) for _ in range(containers)}


def draw_in_container(found: Generators, made: Any, draw: Callable[[Any], Any], _: Any) -> Any:
    before = _states(made)
    found.tell_apart()
    value = draw(made)
    _restore(made, before)  # the next one is forked from the same snapshot
    return value


def _states(made: Any) -> Any:
    if isinstance(made, random.Random):
        return random.getstate(), numpy.random.get_state(legacy=False), made.getstate()
    own = made.bit_generator.state if hasattr(made, "bit_generator") else None
    own = made.get_state(legacy=False) if hasattr(made, "get_state") else own
    return random.getstate(), numpy.random.get_state(legacy=False), own


def _restore(made: Any, states: Any) -> None:
    random.setstate(states[0])
    numpy.random.set_state(states[1])
    if isinstance(made, random.Random):
        made.setstate(states[2])
    elif hasattr(made, "set_state"):
        made.set_state(states[2])
    elif hasattr(made, "bit_generator"):
        made.bit_generator.state = states[2]


class Own(random.Random):
    """A user's own."""


def state_of(generator: random.Random) -> random.Random:
    generator.setstate(random.Random(5).getstate())
    return generator


def unchosen() -> random.Random:
    generator = random.Random(3)
    generator.seed()
    return generator


UNSEEDED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "random": (lambda: random.random(), lambda _: random.random()),
    "random that was seeded by nothing": (lambda: random.seed(), lambda _: random.random()),
    "Random": (random.Random, lambda it: it.random()),
    "a class of the user's": (Own, lambda it: it.random()),
    "Random that was seeded by nothing": (unchosen, lambda it: it.random()),
    "numpy.random": (lambda: numpy.random.RandomState(), lambda it: it.random()),
    "numpy.random, global": (lambda: None, lambda _: numpy.random.random()),
    "numpy.random, half of a pair": (
        lambda: (it := numpy.random.RandomState(), it.normal())[0],
        lambda it: it.normal(),
    ),
    "default_rng": (numpy.random.default_rng, lambda it: it.random()),
    "a spawned one": (lambda: numpy.random.default_rng().spawn(1)[0], lambda it: it.random()),
    "PCG64": (lambda: numpy.random.Generator(numpy.random.PCG64DXSM()), lambda it: it.random()),
}

SEEDED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "random": (lambda: random.seed(3), lambda _: random.random()),
    "random, by name": (lambda: random.seed(a=0), lambda _: random.random()),
    "random, by a state": (lambda: random.setstate(random.Random(5).getstate()), lambda _: random.random()),
    "Random": (lambda: random.Random(3), lambda it: it.random()),
    "a class of the user's": (lambda: Own("text"), lambda it: it.random()),
    "Random, by a state": (lambda: state_of(random.Random()), lambda it: it.random()),
    "RandomState": (lambda: numpy.random.RandomState(3), lambda it: it.random()),
    "numpy.random": (lambda: numpy.random.seed(3), lambda _: numpy.random.random()),
    "default_rng": (lambda: numpy.random.default_rng(3), lambda it: it.random()),
    "a large seed": (lambda: numpy.random.default_rng(2**120 + 1), lambda it: it.random()),
}


@pytest.mark.parametrize("name", UNSEEDED)
def test_what_nobody_seeded_is_told_apart(name: str) -> None:
    assert len(drawn(*UNSEEDED[name])) == 3


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_of_the_users_is_kept(name: str) -> None:
    make, draw = SEEDED[name]
    assert drawn(make, draw) == {draw(make())}


def test_nothing_is_watched_afterwards() -> None:
    before = (random.seed, random.setstate, random.Random.seed, random.Random.setstate, secrets.randbits)
    with pytest.raises(LookupError), GeneratorWatch():
        raise LookupError
    assert (random.seed, random.setstate, random.Random.seed, random.Random.setstate, secrets.randbits) == before
