"""Specs that no server may run, whoever sent them."""

from __future__ import annotations

from typing import Any

import pytest

from swell.model import (
    AutoscalerSettings,
    Batching,
    Concurrency,
    FunctionSpec,
    GpuRequest,
    Resources,
    RetryPolicy,
    Source,
)
from swell.policy.validation import settings_problem, spec_problem

NAN = float("nan")


def spec(**fields: Any) -> FunctionSpec:
    return FunctionSpec("f", Source("m", "f"), **fields)


def test_a_plain_function_is_sound() -> None:
    assert spec_problem(spec()) == ""


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"timeout_s": 0.5}, "timeout = 0.5 is outside 1 to 86,400"),
        ({"timeout_s": NAN}, "timeout = nan"),
        ({"startup_timeout_s": 1e9}, "startup_timeout = 1e+09 is outside 1 to 86,400"),
        ({"concurrency": Concurrency(0, 0)}, "max_inputs = 0 is outside 1 to 1,000"),
        ({"concurrency": Concurrency(1_001, 1)}, "max_inputs = 1001"),
        ({"concurrency": Concurrency(4, 5)}, "target_inputs = 5 is outside 1 to 4"),
        ({"batching": Batching(0, 10)}, "max_batch_size = 0 is outside 1 to 1,000"),
        ({"batching": Batching(2, -1)}, "wait_ms = -1 is outside 0 to 600,000"),
        ({"retry": RetryPolicy(-1)}, "max_retries = -1"),
        ({"retry": RetryPolicy(1, NAN)}, "backoff_coefficient = nan"),
        ({"retry": RetryPolicy(1, 2.0, -1.0)}, "initial_delay = -1"),
        ({"retry": RetryPolicy(1, 2.0, 1.0, NAN)}, "max_delay = nan"),
        ({"resources": Resources(cpu=-0.1)}, "cpu = -0.1"),
        ({"resources": Resources(cpu=NAN)}, "cpu = nan"),
        ({"resources": Resources(memory_bytes=-1)}, "memory = -1"),
        ({"resources": Resources(gpu=(GpuRequest("L4", 0),))}, "number of GPUs = 0 is outside 1 to 1,000"),
        ({"autoscaler": AutoscalerSettings(min_containers=-1)}, "none may be negative"),
    ],
)
def test_what_is_wrong_is_named_with_its_bounds(fields: dict[str, Any], text: str) -> None:
    assert text in spec_problem(spec(**fields))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (AutoscalerSettings(), ""),
        (AutoscalerSettings(5, 5, 2, 60), ""),
        (AutoscalerSettings(5, 0), ""),
        (AutoscalerSettings(5, 4), "min_containers = 5 cannot be greater than max_containers = 4"),
        (AutoscalerSettings(0, None, -1), "buffer_containers = -1: none may be negative"),
        (AutoscalerSettings(scaledown_window=0), "scaledown_window = 0 s is outside 1 s to 3,600 s"),
        (AutoscalerSettings(scaledown_window=3_601), "scaledown_window = 3601 s"),
    ],
)
def test_settings(settings: AutoscalerSettings, text: str) -> None:
    problem = settings_problem(settings)
    assert text in problem
    assert bool(problem) is bool(text)
