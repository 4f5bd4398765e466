"""One exception as bytes and back; what whole exceptions do is in `test_payload`."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from swell.errors import SerializationError
from swell.wire.exception_pickle import pickled_exception, repr_of, text_of, unpickled_exception


class Stubborn(Exception):
    """Ends the program when it is asked what it says."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class Interrupted(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


def test_whatever_it_says_is_text() -> None:
    assert (text_of(ValueError("why")), repr_of(ValueError("why"))) == ("why", "ValueError('why')")
    assert text_of(Stubborn()) == "<no text: str() raised SystemExit>"
    assert repr_of(Stubborn()) == "<no text: repr() raised SystemExit>"


@pytest.mark.parametrize("ask", [text_of, repr_of])
def test_an_interruption_passes(ask: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(Interrupted())


def test_members_travel_beside_a_group() -> None:
    members = [ValueError("a"), TypeError("b")]
    data = pickled_exception(ExceptionGroup("several", members), members, size_max=1_000)
    others = [ValueError("c"), TypeError("d")]
    assert unpickled_exception(data, others).exceptions == tuple(others)
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)  # they are not in it


@pytest.mark.parametrize("held", ["x" * 2_000, b"x" * 2_000, ["x" * 300] * 7 + [str(n) * 100 for n in range(20)]])
def test_it_stops_at_the_most_bytes(held: Any) -> None:
    with pytest.raises(SerializationError, match="it is too large"):
        pickled_exception(ValueError(held), size_max=1_000)
    assert unpickled_exception(pickled_exception(ValueError(held), size_max=10_000)).args == (held,)
