"""Which variants of a function could make room, and in which order."""

from __future__ import annotations

from swell.config import Settings
from swell.engine.state.app import App
from swell.engine.state.pool import Pool
from swell.engine.state.public_variants import PublicVariants
from swell.engine.state.variant import Variant
from swell.model import AppKind, Deployment, Environment, FunctionSpec, Source

VERSION = Deployment("ap", 0, (), Environment("/py", "/", ()))
APP = App("ap", AppKind.EPHEMERAL, 1, VERSION, 0.0)


def idle_since(name: str, at: float) -> Pool:
    variant = Variant("fu-base", b"", is_public=True)
    variant.mark_idle(at)
    return Pool(name, APP, FunctionSpec("f", Source("m", "f")), Settings(), VERSION, variant=variant)


def test_the_longest_idle_makes_room_first_also_if_it_was_noted_last() -> None:
    variants = PublicVariants()
    pools = [idle_since("fu-b", 2.0), idle_since("fu-c", 3.0), idle_since("fu-a", 1.0)]
    for pool in pools:
        variants.add(pool)
        variants.mark_idle(pool)
    order = []
    while (pool := variants.longest_idle) is not None:
        order.append(pool.id)
        variants.remove(pool)
    assert order == ["fu-a", "fu-b", "fu-c"]
