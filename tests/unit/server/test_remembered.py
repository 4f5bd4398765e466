from __future__ import annotations

from pathlib import Path

import pytest

from swell.errors import InvalidError
from swell.server.remembered import remember, remembered


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert remembered(tmp_path) == {}


def test_what_was_said_last_is_remembered(tmp_path: Path) -> None:
    remember(tmp_path, {"backend": "ray", "ray_address": "h:1"})
    remember(tmp_path, {"backend": "process"})
    assert remembered(tmp_path) == {"backend": "process"}


def test_other_settings_in_the_file_have_no_effect(tmp_path: Path) -> None:
    remember(tmp_path, {"backend": "ray", "token": "t"})
    assert remembered(tmp_path) == {"backend": "ray"}


def test_a_broken_file_is_refused_with_what_helps(tmp_path: Path) -> None:
    remember(tmp_path, {"backend": "ray"})
    (tmp_path / "backend.json").write_text("[")
    with pytest.raises(InvalidError, match="swell start --backend"):
        remembered(tmp_path)
