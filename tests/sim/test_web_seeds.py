"""Histories with requests over HTTP: each has its slot once, and the slot comes back whatever becomes of the request.

SIM_FIRST=5000 SIM_COUNT=3000 pytest tests/sim/test_web_seeds.py     other seeds, and more
python -m swell.sim story SEED --web                                  what happens in one
"""

from __future__ import annotations

import os

import pytest

from swell.engine.events import ClientGone, ClientMessage, Effect, Event, SendToClient, SendToContainer
from swell.model import AutoscalerSettings, CallKind
from swell.sim.swarm_web import draw_web
from swell.sim.world import World
from swell.wire.messages import CancelCall, Message, Outputs, Refused
from swell.wire.web import Leased, Release

FIRST = int(os.environ.get("SIM_FIRST", "0"))
COUNT = int(os.environ.get("SIM_COUNT", "40"))
STRIDE = 10


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, STRIDE))
def test_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + STRIDE, FIRST + COUNT)):
        world = World(draw_web(seed), seed)
        try:
            world.finish()
        except AssertionError as error:
            reproduce = f"reproduce: python -m swell.sim story {seed} --web"
            pytest.fail(f"seed {seed}, at {world.clock.now:.6f} s: {error}\n{reproduce}")
        assert not world.engine.state.leases


class Notes:
    """What comes up in a history."""

    def __init__(self, world: World, met: set[str]) -> None:
        self._world = world
        self._met = met
        self._leased: set[str] = set()
        self._variants: set[str] = set()
        self._had: set[str] = set()
        world.listeners.append(self._note)

    def _note(self, event: Event | None, effects: list[Effect]) -> None:
        if isinstance(event, ClientGone) and self._leased:
            self._met.add("an edge goes")
        if isinstance(event, ClientMessage) and isinstance(event.message, CancelCall | Release):
            self._met.add(f"{type(event.message).__name__} {event.message.call_id in self._leased}")
        for effect in effects:
            if isinstance(effect, SendToContainer):
                self._met.add(type(effect.message).__name__)
            elif isinstance(effect, SendToClient):
                self._told(effect.message)
        self._look_at_variants()
        if any(
            container.is_leaving and container.is_leased for container in self._world.engine.state.containers.values()
        ):
            self._met.add("waits to leave")

    def _look_at_variants(self) -> None:
        state = self._world.engine.state
        now = {pool_id for pool_id, pool in state.pools.items() if pool.variant is not None}
        gone, self._variants = self._variants - now, now
        self._had |= gone
        if gone and not self._world.engine.state.is_stopping:
            self._met.add("put away")
        if now & self._had:
            self._met.add("comes back")
        if any(
            record.override != AutoscalerSettings() for app in state.apps.values() for record in app.dormant.values()
        ):
            self._met.add("settings of a variant that is put away")
        if any(len(group.pools) > 1 for group in state.public_variants.values()):
            self._met.add("public variants")

    def _told(self, message: Message) -> None:
        match message:
            case Leased(call_id):
                self._leased.add(call_id)
            case Outputs(call_id) if self._world.oracle.calls[call_id].kind is CallKind.WEB:
                self._met.add(f"{dict(message.failures)[0]} {call_id in self._leased}")
            case Refused(fields={"limit": "web_variants_max"}):
                self._met.add("too many variants")
            case Refused(call_id) if call_id.startswith("fc-w"):
                self._met.add("refused")
            case _:
                pass


def test_the_seeds_meet_what_they_are_for() -> None:
    """Requests end in every way that there is, before and after they have their slot."""
    met: set[str] = set()
    for seed in range(30):
        world = World(draw_web(seed), seed)
        Notes(world, met)
        world.finish()
    wanted = {
        "3 True",  # cancelled with its slot
        "3 False",
        "4 True",  # too long
        "5 False",  # no container could start
        "6 True",  # its container is gone
        "CancelCall False",
        "Release True",
        "Interrupt",
        "Drain",
        "an edge goes",
        "refused",
        "waits to leave",
        "too many variants",
        "public variants",
        "put away",
        "comes back",
        "settings of a variant that is put away",
    }
    assert wanted <= met, f"never met: {wanted - met}"
