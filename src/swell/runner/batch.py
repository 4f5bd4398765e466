"""A batch: many calls with scalars turned into one call with lists, and its list of results turned back.

A call that does not fit the parameters fails alone. This module must not know threads, deliveries or how the function
is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

from swell.errors import InvalidError
from swell.runner.entry import Entry
from swell.runner.in_flight import Delivery
from swell.runner.outbox import Outbox
from swell.runner.result_codec import Outcome, Porter, print_exception

__all__ = ["Batch"]


class Batch:
    """The calls of one batch and what becomes of them.

    Attributes:
        outcomes: By position, for each call that has one already.
    """

    def __init__(self, entry: Entry, porter: Porter, delivery: Delivery, positions: Sequence[int]) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._entry = entry
        self._porter = porter
        self._delivery = delivery
        self._positions = positions
        self._waiting = list(positions)
        self._others: dict[int, Porter] = {}  # what packs the outcomes of those that came as JSON

    def gather(self) -> tuple[list[list[Any]], dict[str, list[Any]]] | None:
        """Return the arguments for the one call; None if no call is well-formed. Ill-formed calls get their outcome."""
        parameters = self._entry.parameters()
        rows: list[dict[str, Any]] = []
        good: list[int] = []
        for position in self._waiting:
            try:
                porter, (args, kwargs) = self._porter.received(*self._delivery.arguments(position))
                if porter is not self._porter:
                    self._others[position] = porter
                rows.append(_row(self._entry.name or "the function", parameters, args, kwargs))
                good.append(position)
            except Exception as error:
                porter = self._porter.answering(*self._delivery.arguments(position))
                self.outcomes[position] = porter.failure(error)
        self._waiting = good
        if not good:
            return None
        columns = {name: [row[name] for row in rows] for name in (parameter.name for parameter in parameters)}
        leading = [columns.pop(p.name) for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        return leading, columns

    def spread(self, value: Any) -> None:
        """Take what the one call returned, and give each call its part.

        Raises:
            InvalidError: it is not a list of the batch's length.
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
            porter = self._others.get(position, self._porter)
            try:
                outcome = porter.success(result, *self._delivery.input(position), self._delivery.kept)
            except Exception as error:
                outcome = porter.failure(error)
            self.outcomes[position] = outcome

    def fail(self, exc: BaseException) -> Outcome:
        """Take what the one call raised, the outcome of all that have none yet; return it as pickled calls get it."""
        print_exception(exc)
        for position, porter in self._others.items():
            if position not in self.outcomes:
                self.outcomes[position] = porter.failed(exc)
        return self._porter.failed(exc)

    def report(self, outbox: Outbox, override: Outcome | None, rest: Outcome, busy_s: float) -> None:
        """Put every call's outcome into the outbox: `override` if given, else its own, else `rest`."""
        share_s = busy_s / len(self._positions)
        for position in self._positions:
            status, data, is_blob = override or self.outcomes.get(position, rest)
            outbox.add(self._delivery.number, position, status, data, is_blob, share_s)


def _row(
    name: str, parameters: Sequence[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of one call by parameter name.

    Raises:
        InvalidError: they are not exactly the declared parameters.
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
