"""Random number generators that several containers inherit from one snapshot.

Copies of a generator give the same numbers. Those that nobody seeded are told apart in each container; those that the
user's code seeded, or gave a state, are kept, as if each container had run that code itself. Known are the generators
of `random` and of numpy. This module must not know containers, or what is loaded.
"""

from __future__ import annotations

import gc
import random
import secrets
import sys
from types import MethodType, TracebackType
from typing import Any, Final
from weakref import WeakSet

from swell.runner.loader import reseed

__all__ = ["GeneratorWatch", "Generators"]

_GLOBAL: Final[random.Random] = vars(random)["_inst"]
_CHOSEN: Final = ("seed", "setstate")  #: methods that give a generator a state


class Generators:
    """The generators of a snapshot that nobody seeded."""

    def __init__(self, plain: WeakSet[random.Random], of_numpy: list[Any]) -> None:
        self._plain = plain
        self._of_numpy = of_numpy

    def tell_apart(self) -> None:
        """Seed them anew."""
        for generator in self._plain:
            generator.seed()
        for generator in self._of_numpy:
            bits = getattr(generator, "_bit_generator", generator)
            bits.state = type(bits)().state
            if generator is not bits:  # a RandomState, which may also hold half of a pair of normal numbers
                generator.set_state(generator.get_state(legacy=False) | {"has_gauss": 0, "gauss": 0.0})


class GeneratorWatch:
    """Notes what becomes of generators in its block, in which a snapshot is loaded."""

    def __init__(self) -> None:
        self._unseeded: WeakSet[random.Random] = WeakSet([_GLOBAL])
        self._drawn: set[int] = set()
        self._methods: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}
        self._randbits: Any = None

    def __enter__(self) -> GeneratorWatch:
        for name in _CHOSEN:
            self._methods[name], self._functions[name] = getattr(random.Random, name), getattr(random, name)
            noting = self._noting(self._methods[name])
            setattr(random.Random, name, noting)
            setattr(random, name, MethodType(noting, _GLOBAL))
        self._randbits = secrets.randbits
        for module in self._drawing():
            module.randbits = self._draw
        reseed()
        if "numpy" in sys.modules:
            # After numpy.random.seed() nothing tells whether that had a seed; a new state knows what was drawn for it.
            of_numpy: Any = sys.modules["numpy.random"]
            of_numpy.mtrand._rand.__init__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in _CHOSEN:
            setattr(random.Random, name, self._methods[name])
            setattr(random, name, self._functions[name])
        for module in self._drawing():
            module.randbits = self._randbits

    @staticmethod
    def _drawing() -> list[Any]:
        """Return where numpy finds what it draws seeds with: in `secrets`, from where it takes it as it is imported."""
        loaded = sys.modules.get("numpy.random.bit_generator")
        return [secrets] if loaded is None else [secrets, loaded]

    def found(self) -> Generators:
        """Return the generators that nobody seeded. Called when the code has been loaded."""
        return Generators(self._unseeded, [*self._of_numpy()])

    def _noting(self, method: Any) -> Any:
        def chosen(generator: random.Random, *args: Any, **options: Any) -> None:
            method(generator, *args, **options)
            value = next(iter((*args, *options.values())), None)
            if value is None:
                self._unseeded.add(generator)
            else:
                self._unseeded.discard(generator)

        return chosen

    def _draw(self, count: int) -> int:
        """Return random bits as `secrets.randbits` does: of such, numpy makes seeds where none is given."""
        bits: int = self._randbits(count)
        self._drawn.add(bits)
        return bits

    def _of_numpy(self) -> list[Any]:
        module = sys.modules.get("numpy.random")
        if module is None:
            return []
        alike = [one for one in gc.get_objects() if issubclass(type(one), (module.BitGenerator, module.RandomState))]
        states = [one for one in alike if isinstance(one, module.RandomState)]
        inner = {id(state._bit_generator) for state in states}
        bits = [one for one in alike if isinstance(one, module.BitGenerator) and id(one) not in inner]
        unseeded = [state for state in states if self._is_drawn(state._bit_generator)]
        return [*unseeded, *(one for one in bits if self._is_drawn(one))]

    def _is_drawn(self, generator: Any) -> bool:
        sequence = getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)
        return getattr(sequence, "entropy", None) in self._drawn
