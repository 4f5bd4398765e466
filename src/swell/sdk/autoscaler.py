"""Autoscaler settings and statistics of a pool, for users. This module must not know how a pool scales."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET

from swell.errors import InvalidError
from swell.model import AutoscalerChange
from swell.option_bounds import CONTAINERS, SCALEDOWN_WINDOW_S
from swell.sdk.calls.target import CallTarget
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import SyncAsync
from swell.wire.messages import AutoscalerState, UpdateAutoscaler

__all__ = ["Autoscaler", "FunctionAutoscalerSettings", "FunctionStats"]


@dataclass(frozen=True)
class FunctionStats:
    """Statistics of one pool at one moment."""

    backlog: int  #: inputs that wait for a container
    num_total_runners: int  #: containers, starting ones included
    num_running_inputs: int  #: inputs that containers have
    input_headroom: int  #: free slots of ready containers


@dataclass(frozen=True)
class FunctionAutoscalerSettings:
    """Settings in force. `max_containers` is None if there is no bound."""

    min_containers: int | None
    max_containers: int | None
    scaledown_window: int | None  #: seconds
    buffer_containers: int | None


_OMITTED: Final[Any] = UNSET


class Autoscaler:
    """`Function.autoscaler`: reads and changes the settings of one pool at run time."""

    def __init__(
        self, target: Callable[[Link], Awaitable[CallTarget]], client: Callable[[], Client], name: str
    ) -> None:
        self._target = target
        self._client = client
        self._name = name

    @property
    def update(self):
        """Change settings. An omitted one is kept; None resets it to the platform's default.

        Raises:
            InvalidError: the settings contradict each other; nothing is changed.
        """
        return SyncAsync(self.change, self._client, f"{self._name}.autoscaler.update")

    @property
    def settings(self) -> SyncAsync[[], FunctionAutoscalerSettings]:
        """Return the settings in force."""
        return SyncAsync(self._settings, self._client, f"{self._name}.autoscaler.settings")

    async def change(
        self,
        link: Link,
        *,
        min_containers: int | None = _OMITTED,
        max_containers: int | None = _OMITTED,
        buffer_containers: int | None = _OMITTED,
        scaledown_window: int | None = _OMITTED,
    ) -> FunctionAutoscalerSettings:
        """Send a change in which None resets a setting."""
        given = {
            "min_containers": min_containers,
            "max_containers": max_containers,
            "buffer_containers": buffer_containers,
            "scaledown_window": scaledown_window,
        }
        for name, value in given.items():
            _check(name, value)
        return await self._send(link, AutoscalerChange(**given))

    async def change_given(
        self,
        link: Link,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> FunctionAutoscalerSettings:
        """Send a change in which None keeps a setting."""
        return await self.change(
            link,
            min_containers=_OMITTED if min_containers is None else min_containers,
            max_containers=_OMITTED if max_containers is None else max_containers,
            buffer_containers=_OMITTED if buffer_containers is None else buffer_containers,
            scaledown_window=_OMITTED if scaledown_window is None else scaledown_window,
        )

    async def _settings(self, link: Link) -> FunctionAutoscalerSettings:
        return await self._send(link, AutoscalerChange())

    async def _send(self, link: Link, change: AutoscalerChange) -> FunctionAutoscalerSettings:
        target = await self._target(link)
        state = await link.ask(AutoscalerState, lambda request: UpdateAutoscaler(request, target.function_id, change))
        now = state.effective
        return FunctionAutoscalerSettings(
            now.min_containers, now.max_containers or None, now.scaledown_window, now.buffer_containers
        )


_BOUNDS: Final = {
    "min_containers": (CONTAINERS.least, None),
    "max_containers": (1, None),
    "buffer_containers": (CONTAINERS.least, None),
    "scaledown_window": SCALEDOWN_WINDOW_S,
}


def _check(name: str, value: Any) -> None:
    if value is UNSET or value is None:
        return
    low, high = _BOUNDS[name]
    if type(value) is not int or value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"between {low} and {high} seconds"
        raise InvalidError(f"{name} = {value!r} must be a whole number, {bound}; nothing was changed")
