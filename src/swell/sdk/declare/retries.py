"""Retry policies: the public `Retries`, and the option `retries=`.

Declares only; the server retries. This module must not know inputs or attempts.
"""

from __future__ import annotations

from swell.errors import InvalidError
from swell.model import RetryPolicy
from swell.option_bounds import BACKOFF, RETRY_DELAY_MAX_S, RETRY_DELAY_S

__all__ = ["Retries", "retry_policy"]


class Retries:
    """Retry a failed input, with exponentially growing pauses.

    The pause before retry k (k = 1, 2, …) is `initial_delay * backoff_coefficient ** (k - 1)` seconds, at most
    `max_delay`. An input runs at most `max_retries + 1` times; the caller gets its last exception.

    Args:
        max_retries: Retries after the first attempt, 0 or more.
        backoff_coefficient: Growth of the pause, 1 to 10; 1 keeps it constant.
        initial_delay: Seconds before the first retry, 0 to 60.
        max_delay: Longest pause in seconds, 1 to 60.

    Raises:
        InvalidError: a value is out of its range.

    Example:
        `@app.function(retries=swell.Retries(max_retries=4, initial_delay=2.0))`
    """

    def __init__(
        self,
        *,
        max_retries: int,
        backoff_coefficient: float = 2.0,
        initial_delay: float = 1.0,
        max_delay: float = 60.0,
    ) -> None:
        _check("max_retries", max_retries, 0, None)
        _check("max_delay", max_delay, *RETRY_DELAY_MAX_S)
        _check("initial_delay", initial_delay, *RETRY_DELAY_S)
        _check("backoff_coefficient", backoff_coefficient, *BACKOFF)
        self.policy = RetryPolicy(
            max_retries=int(max_retries),
            backoff_coefficient=float(backoff_coefficient),
            initial_delay_s=float(initial_delay),
            max_delay_s=float(max_delay),
        )

    def __repr__(self) -> str:
        p = self.policy
        return (
            f"Retries(max_retries={p.max_retries}, backoff_coefficient={p.backoff_coefficient:g}, "
            f"initial_delay={p.initial_delay_s:g}, max_delay={p.max_delay_s:g})"
        )


def _check(name: str, value: float, low: float, high: float | None) -> None:
    whole = name == "max_retries"
    if not isinstance(value, int if whole else (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"Retries({name}=…) must be {'an int' if whole else 'a number of seconds'}, not {value!r}")
    if value < low or (high is not None and value > high):
        bound = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise InvalidError(f"Retries({name}=…) must be {bound}, not {value!r}")


def retry_policy(retries: int | Retries | None) -> RetryPolicy | None:
    """Return the policy of an option `retries=`; a number means so many retries, one second apart.

    Raises:
        InvalidError: it is neither an int nor Retries, or a negative int.
    """
    if retries is None:
        return None
    if isinstance(retries, Retries):
        return retries.policy
    if isinstance(retries, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        return Retries(max_retries=retries, backoff_coefficient=1.0).policy
    raise InvalidError(f"retries must be an int or swell.Retries(...), not {retries!r}")
