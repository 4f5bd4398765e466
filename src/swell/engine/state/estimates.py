"""How long inputs and starts take in one pool, as measured. This module must not know containers, calls or clocks."""

from __future__ import annotations

from swell.policy.sizing import learn_service

__all__ = ["Estimates"]


class Estimates:
    """Moving averages over what one version of a function has taken; None until there is a measurement."""

    __slots__ = ("overdue_s", "service_s", "start_s")

    def __init__(self) -> None:
        self.service_s: float | None = None  #: an input's time in a slot
        self.overdue_s = 0.0  #: how long most inputs have been running, if that is longer than `service_s` explains
        self.start_s: float | None = None  #: from the request of a container to its check-in

    def learn_service(self, each_s: float, count: int) -> None:
        """Take in that `count` inputs took `each_s` seconds each."""
        self.service_s = learn_service(self.service_s, each_s, count)

    def learn_start(self, took_s: float) -> None:
        """Take in that a container took `took_s` seconds to start."""
        self.start_s = took_s if self.start_s is None else 0.5 * (self.start_s + took_s)

    def note_overdue(self, overdue_s: float) -> None:
        """Note for how long most inputs have been running, if unexpectedly long; 0 if they are on time."""
        self.overdue_s = overdue_s

    @property
    def slowest_service_s(self) -> float | None:
        """The time of an input for sizing: inputs that are overdue now count before they have ended."""
        return None if self.service_s is None else max(self.service_s, self.overdue_s)
