"""Messages with extreme values: each is answered, none raises, and what is answered can be read.

More of them: `python -m swell.sim extremes 1 10000`.
"""

from __future__ import annotations

from random import Random
from typing import get_args

import msgspec
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


@pytest.mark.parametrize("kind", get_args(m.ToServer), ids=lambda kind: kind.__name__)
def test_every_number_and_text_of_a_message_to_the_server_is_bounded(kind: type[m.Message]) -> None:
    unbounded: list[str] = []

    def look(where: str, found: msgspec.inspect.Type) -> None:
        match found:
            case msgspec.inspect.IntType():
                if found.ge is None or found.le is None:
                    unbounded.append(where)
            case msgspec.inspect.FloatType() if found.ge is None:  # any bound refuses what is not a number
                unbounded.append(where)
            case msgspec.inspect.StrType() if found.max_length is None:
                unbounded.append(where)
            case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
                if found.max_length is None:
                    unbounded.append(where)
                look(f"{where}[]", found.item_type)
            case msgspec.inspect.DictType():
                look(f"{where} key", found.key_type)
                look(f"{where} value", found.value_type)
            case msgspec.inspect.TupleType():
                for one in found.item_types:
                    look(where, one)
            case msgspec.inspect.UnionType():
                for one in found.types:
                    look(where, one)
            case msgspec.inspect.Metadata():
                look(where, found.type)
            case msgspec.inspect.StructType():
                for field in found.fields:
                    look(f"{where}.{field.name}", field.type)
            case _:
                pass

    look(kind.__name__, msgspec.inspect.type_info(kind))
    assert not unbounded, "give each a type of swell.bounds"
