"""Things by number, in order. Whatever is done to them costs little, however many they are.

This module must not know what the numbers count.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Ordered"]

T = TypeVar("T")


class Ordered(Generic[T]):
    """A mapping that can be read on from any number."""

    __slots__ = ("_numbers", "_things")

    def __init__(self) -> None:
        self._things: dict[int, T] = {}
        self._numbers: list[int] = []  # in order; of some that were removed, too

    def __len__(self) -> int:
        return len(self._things)

    def add(self, number: int, thing: T) -> None:
        """Take something in, unless there is something of that number."""
        if number not in self._things:
            self._things[number] = thing
            insort(self._numbers, number)  # at the end, nearly always

    def pop(self, number: int) -> T | None:
        """Remove what is of a number, and return it."""
        thing = self._things.pop(number, None)
        if len(self._numbers) > 2 * len(self._things) + 8:
            self._numbers = [number for number in self._numbers if number in self._things]
        return thing

    def since(self, number: int) -> Iterator[T]:
        """Yield what there is from a number on."""
        for at in range(bisect_left(self._numbers, number), len(self._numbers)):
            thing = self._things.get(self._numbers[at])
            if thing is not None:
                yield thing
