"""How a container runs several inputs: the numbers of `concurrent` and `batched`, checked.

Pure: numbers in, `Concurrency` and `Batching` out. This module must not know decorators, or which function runs.
"""

from __future__ import annotations

from swell.errors import InvalidError
from swell.model import Batching, Concurrency
from swell.option_bounds import BATCH_SIZE, BATCH_WAIT_MS, MAX_INPUTS, Bounds

__all__ = ["batching", "check_batching", "check_concurrency", "concurrency"]


def concurrency(max_inputs: int | None, target_inputs: int | None) -> Concurrency:
    """Return the Concurrency that the arguments of `concurrent` describe.

    Raises:
        InvalidError: a number is out of range.
        TypeError: `max_inputs` is missing.
    """
    check_concurrency(max_inputs, target_inputs)
    if max_inputs is None:
        raise TypeError("@swell.concurrent() is missing its required keyword argument 'max_inputs'")
    return Concurrency(max_inputs, max_inputs if target_inputs is None else target_inputs)


def check_concurrency(max_inputs: int | None, target_inputs: int | None) -> None:
    """Refuse numbers that `concurrent` does not accept; a missing `max_inputs` is reported where the mark is used.

    Raises:
        InvalidError: names the number and its bounds.
    """
    if max_inputs is not None:
        _check_whole("max_inputs", max_inputs, MAX_INPUTS)
    if target_inputs is not None:
        _check_whole("target_inputs", target_inputs, MAX_INPUTS)
        if max_inputs is not None and target_inputs > max_inputs:
            raise InvalidError(f"target_inputs={target_inputs} cannot be greater than max_inputs={max_inputs}")


def batching(max_batch_size: int, wait_ms: int) -> Batching:
    """Return the Batching that the arguments of `batched` describe.

    Raises:
        InvalidError: a number is out of range.
    """
    check_batching(max_batch_size, wait_ms)
    return Batching(max_batch_size, wait_ms)


def check_batching(max_batch_size: int, wait_ms: int) -> None:
    """Refuse numbers that `batched` does not accept.

    Raises:
        InvalidError: names the number and its bounds.
    """
    _check_whole("max_batch_size", max_batch_size, BATCH_SIZE)
    _check_whole("wait_ms", wait_ms, BATCH_WAIT_MS)


def _check_whole(name: str, value: object, bounds: Bounds) -> None:
    low, high = bounds
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InvalidError(f"{name} must be a {'positive' if low else 'non-negative'} integer, not {value!r}")
    if value > high:
        raise InvalidError(f"{name} cannot be greater than {high}, and is {value}")
