"""The program of `scripts/demo`, on the nodes of a cluster: unchanged, though they share nothing with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from ray_place import RayCluster, RayPlace

DIGITS = Path(__file__).parents[2] / "examples/digits.py"


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="the demo needs scikit-learn")
def test_the_demo_runs_on_a_cluster_unchanged(place: RayPlace, cluster: RayCluster) -> None:
    del place.environment["SWELL_BACKEND"]
    place.environment["SWELL_RAY_SLICES"] = "cpu=2"
    shown = place.told("run", "--backend", "ray", "--address", cluster.address, str(DIGITS))
    assert "42/42  C=100" in shown
    assert "Best of 42 settings" in shown
    assert "accuracy 0.97" in shown.splitlines()[-1]
