"""A map sorted by integer key; every operation stays cheap at a million entries.

This module must not know what keys and values mean.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["SortedMap"]

T = TypeVar("T")


class SortedMap(Generic[T]):
    """A map that can be iterated from any key on, in the order of keys."""

    __slots__ = ("_keys", "_values")

    def __init__(self) -> None:
        self._values: dict[int, T] = {}
        self._keys: list[int] = []  # in order; keys of removed entries stay until `pop` compacts the list

    def __len__(self) -> int:
        return len(self._values)

    def add(self, key: int, value: T) -> None:
        """Add a value, unless the key is taken."""
        if key not in self._values:
            self._values[key] = value
            insort(self._keys, key)  # at the end, nearly always

    def pop(self, key: int) -> T | None:
        """Remove the value of a key and return it; None if the key is free."""
        value = self._values.pop(key, None)
        if len(self._keys) > 2 * len(self._values) + 8:
            self._keys = [key for key in self._keys if key in self._values]
        return value

    def since(self, key: int) -> Iterator[T]:
        """Yield the values from a key on, in order."""
        for at in range(bisect_left(self._keys, key), len(self._keys)):
            value = self._values.get(self._keys[at])
            if value is not None:
                yield value
