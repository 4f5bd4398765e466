"""Whether a failed input is tried again, and after how long. This module must not know why the input failed."""

from __future__ import annotations

from math import inf, log2

from swell.model import RetryPolicy

__all__ = ["retry_delay"]


def retry_delay(policy: RetryPolicy | None, failures: int, delay_min_s: float) -> float | None:
    """Return the seconds to wait before trying again after the `failures`-th failure (1, 2, …), or None to give up.

    Example: max_retries 2, initial 1 s, coefficient 3: after failure 1 wait 1 s, after failure 2 wait 3 s, then None.
    """
    if policy is None or failures > policy.max_retries:
        return None
    return max(delay_min_s, min(_grown(policy, failures - 1), policy.max_delay_s))


def _grown(policy: RetryPolicy, times: int) -> float:
    """Return the delay after it has grown so many times; infinity where a float cannot hold it."""
    # 1000.0 ** 103 is an OverflowError. 2 ** 1_000 is still a float.
    if times * log2(max(1.0, policy.backoff_coefficient)) > 1_000:
        return inf if policy.initial_delay_s else 0.0
    return policy.initial_delay_s * policy.backoff_coefficient**times
