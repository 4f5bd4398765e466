"""Variants: what `with_options`, `with_concurrency` and `with_batching` replace, keep and refuse."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.model import AutoscalerSettings, Batching, Concurrency, GpuRequest, RetryPolicy
from swell.sdk.app import App
from swell.sdk.declare.image import Image
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume


def plain(x: int) -> int:
    return x


BASE = App().function(
    min_containers=2,
    max_containers=5,
    buffer_containers=1,
    scaledown_window=30,
    timeout=10,
    retries=2,
    cpu=(1, 2),
    memory=256,
    gpu="T4",
    image=Image.debian_slim().env({"I": "image"}),
    secrets=[Secret.from_dict({"S": "base"}), Secret.from_name("named", required_keys=["KEY"])],
    volumes={"/base": Volume.from_name("base")},
)(plain)


def test_nothing_given_keeps_all_but_the_floor() -> None:
    variant = BASE.with_options().spec
    assert variant.autoscaler == AutoscalerSettings(None, 5, 1, 30)
    assert (variant.timeout_s, variant.retry, variant.resources) == (10, BASE.spec.retry, BASE.spec.resources)
    assert (variant.variables, variant.recorded) == (BASE.spec.variables, BASE.spec.recorded)


def test_the_base_is_left_alone() -> None:
    BASE.with_options(cpu=8, env={"X": "1"}, timeout=99)
    assert BASE.spec.resources.cpu == 1
    assert BASE.spec.timeout_s == 10
    assert "X" not in BASE.spec.variables


def test_resources_merge_one_by_one() -> None:
    variant = BASE.with_options(gpu="H100:2").with_options(memory=512).spec.resources
    assert variant.gpu == (GpuRequest("H100", 2),)
    assert (variant.memory_bytes, variant.cpu, variant.cpu_limit) == (512 << 20, 1.0, 2.0)
    alone = BASE.with_options(cpu=4).spec.resources
    assert (alone.cpu, alone.cpu_limit) == (4.0, None)


def test_later_values_win_and_false_ones_change_nothing() -> None:
    variant = BASE.with_options(timeout=20, max_containers=7, retries=5).with_options(
        timeout=0, max_containers=0, retries=0, buffer_containers=0, scaledown_window=0
    )
    assert variant.spec.timeout_s == 20
    assert variant.spec.autoscaler == AutoscalerSettings(None, 7, 1, 30)
    assert variant.spec.retry == RetryPolicy(5, 1.0, 1.0)


def test_secrets_replace_those_of_the_base_but_not_the_image() -> None:
    variant = BASE.with_options(secrets=[Secret.from_dict({"N": "new"})], env={"E": "env"}).spec
    assert variant.variables == {"I": "image", "N": "new", "E": "env"}
    assert "secrets" not in variant.recorded
    assert "required_keys" not in variant.recorded


def test_env_alone_replaces_the_secrets_too() -> None:
    assert BASE.with_options(env={"E": "env"}).spec.variables == {"I": "image", "E": "env"}


def test_volumes_replace_those_of_the_base() -> None:
    variant = BASE.with_options(volumes={"/new": Volume.from_name("new")}).spec
    assert variant.recorded["volumes"] == {"/new": "new"}
    assert BASE.with_options(cpu=1).spec.recorded["volumes"] == {"/base": "base"}


def test_places_are_recorded() -> None:
    variant = BASE.with_options(region="eu", cloud="aws").spec
    assert (variant.recorded["region"], variant.recorded["cloud"]) == ("eu", "aws")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaledown_window": 1}, "from 2 to 3600"),
        ({"max_containers": -1}, "0 or more"),
        ({"retries": 1.5}, "retries must be"),
        ({"gpu": "H100:0"}, "at least 1"),
        ({"secrets": "x"}, "must be a list"),
    ],
)
def test_values_are_checked_when_given(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        BASE.with_options(**options)


def test_concurrency_and_batching_are_variants_too() -> None:
    variant = BASE.with_concurrency(max_inputs=10, target_inputs=5).with_batching(max_batch_size=4, wait_ms=20).spec
    assert variant.concurrency == Concurrency(10, 5)
    assert variant.batching == Batching(4, 20)
    assert variant.autoscaler.min_containers is None
    assert BASE.with_concurrency(max_inputs=10).spec.concurrency == Concurrency(10, 10)


@pytest.mark.parametrize(("max_inputs", "target_inputs"), [(0, None), (1001, None), (2, 3), (1.5, None), (5, -1)])
def test_concurrency_is_checked_when_given(max_inputs: int, target_inputs: int | None) -> None:
    with pytest.raises(InvalidError, match="_inputs"):
        BASE.with_concurrency(max_inputs=max_inputs, target_inputs=target_inputs)


@pytest.mark.parametrize(("max_batch_size", "wait_ms"), [(0, 0), (1001, 0), (1, -1), (1, 600_001)])
def test_batching_is_checked_when_given(max_batch_size: int, wait_ms: int) -> None:
    with pytest.raises(InvalidError, match=r"max_batch_size|wait_ms"):
        BASE.with_batching(max_batch_size=max_batch_size, wait_ms=wait_ms)


def test_equal_variants_are_equal() -> None:
    assert BASE.with_options(cpu=3, timeout=9).spec == BASE.with_options(timeout=9).with_options(cpu=3).spec
