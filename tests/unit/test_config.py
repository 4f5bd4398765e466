"""A setting that cannot be as it was given is refused, in words that say what it can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from swell.config import Settings
from swell.errors import InvalidError


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("SWELL_BACKEND", "agent", "setting backend (SWELL_BACKEND) = 'agent': it is one of process, agents, ray"),
        ("SWELL_AGENTS", "0", "setting agents (SWELL_AGENTS) = '0': Expected `int` >= 1"),
        (
            "SWELL_NODE_TIMEOUT_S",
            "inf",
            "setting node_timeout_s (SWELL_NODE_TIMEOUT_S) = 'inf': Expected `float` <= 86400.0",
        ),
        ("SWELL_WEB", "perhaps", "setting web (SWELL_WEB) = 'perhaps': Expected `bool`, got `str`"),
    ],
)
def test_it_names_the_setting_the_value_and_what_may_be(variable: str, value: str, text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        Settings.load({variable: value}, "/nonexistent")
    assert str(refused.value) == text


def test_what_is_remembered_goes_before_defaults_and_after_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "swell.toml"
    file.write_text('ray_address = "file:1"\n')
    remembered = {"backend": "ray", "ray_address": "remembered:1"}
    settings = Settings.load({}, str(file), remembered)
    assert (settings.backend, settings.ray_address) == ("ray", "file:1")
    assert Settings.load({"SWELL_BACKEND": "agents"}, str(file), remembered).backend == "agents"
    assert Settings.load({}, "/nonexistent", remembered).ray_address == "remembered:1"
