"""A diary of pools beside that of the function itself: of one version for good, or with other options."""

from __future__ import annotations

from swell.engine.events import StartContainer
from swell.model import Batching, CallKind, GpuRequest, Node, Resources
from swell.wire import messages as m

PLAIN = Node("n", 64, 1 << 40)  # no GPU


def deployed(diary, *names: str, **options) -> None:
    """An app with version 1 of some functions, deployed in the first second."""
    diary.at(1.0).deploys(*names, **options)


# ---------------------------------------------------------------- pins


def test_a_pin_has_pools_of_its_own_for_the_whole_version(diary) -> None:
    deployed(diary, "f", "g", min_containers=1)
    diary.at(2.0).deploys("f", code="two")
    diary.finds(version=1)
    assert diary.reads() == [
        "record function f at version 1, pinned",
        "record function g at version 1, pinned",
        "found f at version 1",
    ]
    assert diary.finds("g", version=1) == ["found g at version 1"]
    assert diary.pool(version=1).settings.min_containers == 0
    assert diary.function(version=1) != diary.function()


def test_the_live_version_can_be_pinned_too_and_stays_when_another_is_live(diary) -> None:
    deployed(diary)
    assert diary.finds(version=1) == ["record function f at version 1, pinned", "found f at version 1"]
    diary.at(2.0).deploys(code="two")
    assert diary.finds(version=1) == ["found f at version 1"]
    assert diary.finds() == ["found f at version 2"]


def test_what_a_pinned_function_calls_is_pinned_too(diary) -> None:
    deployed(diary, "f", "g")
    diary.at(2.0).deploys("f", "g", code="two")
    diary.finds(version=1)
    diary.reads()
    function = diary.function(version=1)
    diary.says(m.OpenCall("fc-1", function, "", CallKind.MAP, [1], sealed=True), b"x")
    (start,) = (effect for effect in diary.last if isinstance(effect, StartContainer))
    assert start.version == 1
    assert start.environment.bundle == "one"
    assert start.function_ids == {name: diary.function(name, version=1) for name in ("f", "g")}


def test_a_version_that_never_was(diary) -> None:
    deployed(diary)
    diary.finds(version=3)
    assert diary.reads() == ["fail 6: Lookup failed for Function 'f': App 'shop' has no version 3"]


def test_a_function_that_a_version_did_not_have(diary) -> None:
    deployed(diary)
    diary.at(2.0).deploys("f", "g", code="two")
    diary.finds("g", version=1)
    (failed,) = diary.aloud(diary.reads())
    assert (
        failed
        == "fail 6: Lookup failed for Function 'g': App 'shop' version 1 has none of that name; did you mean 'g'?"
    )


# ---------------------------------------------------------------- variants


def test_a_variant_is_one_pool_whoever_asks(diary) -> None:
    deployed(diary)
    variant = diary.binds(timeout_s=5.0)
    assert diary.binds(timeout_s=5.0) == variant
    assert variant not in (diary.binds(timeout_s=6.0), diary.function())
    assert diary.engine.state.pools[variant].spec.timeout_s == 5.0


def test_variants_follow_a_new_version_of_their_base(diary) -> None:
    deployed(diary, timeout_s=9.0, max_containers=4)
    variant = diary.binds(max_containers=7)
    diary.at(2.0).deploys(code="two", timeout_s=11.0, max_containers=5)
    pool = diary.engine.state.pools[variant]
    assert (pool.version, pool.spec.timeout_s, pool.settings.max_containers) == (2, 11.0, 7)


def test_a_variant_that_the_new_version_cannot_have_retires(diary) -> None:
    deployed(diary)
    variant = diary.binds(batching=Batching(5, 0))
    told = diary.at(2.0).deploys("g", code="two")
    assert "record function f at version 1, retired, a variant" in told
    assert variant not in diary.engine.state.pools


def test_a_variant_that_no_node_can_hold_any_more_retires_with_its_reason(diary) -> None:
    gpu = Resources(gpu=(GpuRequest("L4"),))
    deployed(diary)
    variant = diary.binds(resources=gpu)
    diary.calls("fc-1", function="f")
    diary.says(m.OpenCall("fc-2", variant, "", CallKind.MAP, [1], sealed=False), b"x")
    diary.observes(PLAIN)
    diary.at(2.0).deploys(code="two")
    assert diary.engine.state.pools[variant].is_retired
    assert "GPU" in diary.binds(resources=gpu)
    diary.observes()
    assert diary.binds(resources=gpu) == variant
    assert not diary.engine.state.pools[variant].is_retired


def test_a_variant_of_a_pin_is_pinned(diary) -> None:
    deployed(diary)
    diary.finds(version=1)
    variant = diary.engine.state.pools[diary.binds(version=1, timeout_s=5.0)]
    diary.at(2.0).deploys(code="two")
    assert (variant.is_pinned, variant.version) == (True, 1)
