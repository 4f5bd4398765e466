"""Whether a failed input is tried again, and after how long. This module must not know why the input failed."""

from __future__ import annotations

from swell.model import RetryPolicy

__all__ = ["retry_delay"]


def retry_delay(policy: RetryPolicy | None, failures: int, delay_min_s: float) -> float | None:
    """Return the seconds to wait before trying again after the `failures`-th failure (1, 2, …), or None to give up.

    Example: max_retries 2, initial 1 s, coefficient 3: after failure 1 wait 1 s, after failure 2 wait 3 s, then None.
    """
    if policy is None or failures > policy.max_retries:
        return None
    # The exponent is bounded so that a policy of very many retries cannot overflow a float.
    delay = policy.initial_delay_s * policy.backoff_coefficient ** min(failures - 1, 200)
    return max(delay_min_s, min(delay, policy.max_delay_s))
