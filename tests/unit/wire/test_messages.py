"""Messages to the server: every field has a bound."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from swell.wire import messages as m


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
