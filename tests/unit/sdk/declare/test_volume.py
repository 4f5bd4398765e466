"""Volumes, and the names of such objects."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.names import check_object_name
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume


def test_volumes_have_a_name() -> None:
    volume = Volume.from_name("data", create_if_missing=True)
    assert (volume.name, volume.is_read_only, volume.read_only().is_read_only) == ("data", False, True)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 65, "ap-" + "a" * 22], ids=str)
def test_names_that_are_not_allowed(name: str) -> None:
    with pytest.raises(InvalidError, match="Invalid App name"):
        check_object_name(name, "App")
    with pytest.raises(InvalidError, match="Invalid Volume name"):
        Volume.from_name(name)
    with pytest.raises(InvalidError, match="Invalid Secret name"):
        Secret.from_name(name)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 64, "ap-short", "ap-" + "a" * 23], ids=str)
def test_names_that_are_allowed(name: str) -> None:
    check_object_name(name, "App")
