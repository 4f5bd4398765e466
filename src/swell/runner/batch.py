"""A batch: turns many calls with scalars into one call with lists, and its list of results into many results.

A call that does not fit the parameters fails alone. This module must not know threads, or how the function is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

from swell.errors import InvalidError
from swell.runner.entry import EntryPoint
from swell.runner.in_flight import Delivery
from swell.runner.outbox import Outbox
from swell.runner.result_codec import Outcome, ResultCodec, print_exception

__all__ = ["Batch"]


class Batch:
    """The calls of one batch and their outcomes.

    Attributes:
        outcomes: Outcomes by position, of the calls that have one.
    """

    def __init__(self, entry: EntryPoint, codec: ResultCodec, delivery: Delivery, positions: Sequence[int]) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._entry = entry
        self._codec = codec
        self._delivery = delivery
        self._positions = positions
        self._waiting = list(positions)
        self._others: dict[int, ResultCodec] = {}  # codecs of the calls that came as JSON

    def gather(self) -> tuple[list[list[Any]], dict[str, list[Any]]] | None:
        """Return the arguments of the one call; None if no call is well-formed. Ill-formed calls get their outcome."""
        parameters = self._entry.parameters()
        rows: list[dict[str, Any]] = []
        good: list[int] = []
        for position in self._waiting:
            try:
                codec, (args, kwargs) = self._codec.decode(*self._delivery.arguments(position))
                if codec is not self._codec:
                    self._others[position] = codec
                rows.append(_row(self._entry.name or "the function", parameters, args, kwargs))
                good.append(position)
            except Exception as error:
                codec = self._codec.codec_for(*self._delivery.arguments(position))
                self.outcomes[position] = codec.print_and_encode(error)
        self._waiting = good
        if not good:
            return None
        columns = {name: [row[name] for row in rows] for name in (parameter.name for parameter in parameters)}
        leading = [columns.pop(p.name) for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        return leading, columns

    def spread(self, value: Any) -> None:
        """Give each call its part of what the one call returned.

        Raises:
            InvalidError: `value` is not a list of the batch's length.
        """
        name = self._entry.name or "the function"
        if not isinstance(value, list):
            raise InvalidError(f"{name} is batched: what it returns must be a list, not a {type(value).__qualname__}")
        results = cast("list[Any]", value)
        if len(results) != len(self._waiting):
            raise InvalidError(
                f"{name} is batched: what it returns must be of equal length to the batch, "
                f"but it returned {len(results)} results for {len(self._waiting)} calls"
            )
        for position, result in zip(self._waiting, results, strict=True):
            codec = self._others.get(position, self._codec)
            try:
                outcome = codec.encode_result(result, *self._delivery.input(position), self._delivery.kept)
            except Exception as error:
                outcome = codec.print_and_encode(error)
            self.outcomes[position] = outcome

    def fail(self, exc: BaseException) -> Outcome:
        """Make what the one call raised the outcome of all calls without one; return it as pickled calls get it."""
        print_exception(exc)
        for position, codec in self._others.items():
            if position not in self.outcomes:
                self.outcomes[position] = codec.encode_failure(exc)
        return self._codec.encode_failure(exc)

    def report(self, outbox: Outbox, override: Outcome | None, rest: Outcome, busy_s: float) -> None:
        """Put the outcome of every call into the outbox: `override` if given, else its own, else `rest`."""
        share_s = busy_s / len(self._positions)
        for position in self._positions:
            status, data, is_blob = override or self.outcomes.get(position, rest)
            outbox.add(self._delivery.number, position, status, data, share_s, is_blob=is_blob)


def _row(
    name: str, parameters: Sequence[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of one call by parameter name.

    Raises:
        InvalidError: the arguments do not match the declared parameters.
    """
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if len(args) > len(positional):
        raise InvalidError(
            f"{name} takes {len(positional)} positional arguments, but one invocation in the batch has {len(args)}"
        )
    row = dict(zip(positional, args, strict=False))
    names = {p.name for p in parameters}
    for key, value in kwargs.items():
        if key not in names:
            raise InvalidError(f"{name} got an unexpected keyword argument {key!r} in one invocation of the batch")
        if key in row:
            raise InvalidError(f"{name} got multiple values for argument {key!r} in one invocation of the batch")
        row[key] = value
    missing = [p.name for p in parameters if p.name not in row]
    if missing:
        raise InvalidError(f"{name} misses the argument {missing[0]!r} in one invocation of the batch")
    return row
