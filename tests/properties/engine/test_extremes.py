"""Messages with extreme values: each is answered, none raises, and what is answered can be read.

More of them: `python -m swell.sim extremes 1 10000`.
"""

from __future__ import annotations

from random import Random
from typing import get_args

import pytest

from swell.sim.extremes import Extremes, play
from swell.wire import codec
from swell.wire import messages as m


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_no_message_ends_the_engine(first: int) -> None:
    handled = sum(play(seed) for seed in range(first, first + 20))
    assert handled > 600, "of 1,200; else the extremes are all beyond the bounds"


@pytest.mark.parametrize("kind", get_args(m.ToServer), ids=lambda kind: kind.__name__)
def test_every_message_is_drawn_within_and_beyond_its_bounds(kind: type[m.Message]) -> None:
    extremes = Extremes(Random(7), lambda _: ())
    read: list[object] = []
    for _ in range(300):
        decoder = codec.PeerDecoder(1 << 20)
        decoder.trust()
        read += [message for message, _ in decoder.feed(extremes.frame([kind]))]
    assert any(isinstance(one, kind) for one in read)
    if kind.__struct_fields__:
        assert any(isinstance(one, codec.Misfit) for one in read)
