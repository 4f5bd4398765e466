"""The containers of one pool, by what they are there for.

This module must not know inputs, how many containers there should be, or time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.model import FunctionSpec

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["Fleet"]


class Fleet:
    """The containers of a pool that are not gone, each in one of these groups until it is retired.

        starting ──check_in──▶ ready ◀─▶ idle (ready ones that hold nothing)
            └────────────────▶ standby ──take_over──▶ ready

    All in `ready` run the same code: `serving`, of version `serving_version`. Containers of another version that have
    checked in stand by until there are enough of them to take over together.
    """

    __slots__ = ("containers", "idle", "ready", "serving", "serving_version", "standby", "starting")

    def __init__(self, spec: FunctionSpec, version: int) -> None:
        self.serving = spec
        self.serving_version = version
        self.containers: dict[str, Container] = {}  #: not yet gone, in a group or retired
        self.starting: dict[str, Container] = {}  #: have not checked in
        self.ready: dict[str, Container] = {}  #: take inputs; the most recently used last
        self.idle: dict[str, Container] = {}  #: of the ready ones, those that hold no input; the longest idle first
        self.standby: dict[str, Container] = {}  #: of a new version, waiting to take over

    @property
    def live(self) -> int:
        """Containers that count against max_containers: all but the retired ones."""
        return len(self.starting) + len(self.ready) + len(self.standby)

    # ------------------------------------------------------------ a container's way

    def add(self, container: Container) -> None:
        """Count a container that was requested."""
        self.containers[container.id] = self.starting[container.id] = container

    def check_in(self, container: Container) -> None:
        """Move a container that has started to those that take inputs, or to the standby of its version."""
        del self.starting[container.id]
        if not self.ready:
            self.serving, self.serving_version = container.spec, container.version
        if container.version == self.serving_version:
            self.ready[container.id] = self.idle[container.id] = container
        else:
            self.standby[container.id] = container

    def mark_busy(self, container: Container) -> None:
        """Note that a container was given inputs, and is the most recently used."""
        self.idle.pop(container.id, None)
        self.ready[container.id] = self.ready.pop(container.id)

    def mark_idle(self, container: Container) -> None:
        """Note that a container holds no input any more."""
        if container.id in self.ready:
            self.idle[container.id] = container

    def retire(self, container: Container) -> None:
        """Take a container that is to leave out of its group."""
        for group in (self.starting, self.ready, self.idle, self.standby):
            group.pop(container.id, None)

    def remove(self, container: Container) -> None:
        """Forget a container whose process has ended."""
        self.retire(container)
        del self.containers[container.id]

    # ------------------------------------------------------------ versions

    def serve(self, spec: FunctionSpec, version: int) -> None:
        """Serve another version from now on, unless containers of the former one are ready."""
        if not self.ready:
            self.serving, self.serving_version = spec, version

    def take_over(self, spec: FunctionSpec, version: int) -> list[Container]:
        """Let the standby containers, of this version, serve; return those that they replace."""
        replaced = list(self.ready.values())
        self.ready, self.standby = self.standby, {}
        self.idle = dict(self.ready)
        self.serving, self.serving_version = spec, version
        return replaced
