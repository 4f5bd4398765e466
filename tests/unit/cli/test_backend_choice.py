from __future__ import annotations

import pytest

from swell.cli.backend_choice import chosen
from swell.errors import InvalidError


def test_options_choose_settings_and_without_them_nothing_is_chosen() -> None:
    assert chosen(None, None) == {}
    assert chosen("agents", None) == {"backend": "agents"}
    assert chosen("ray", "auto") == {"backend": "ray", "ray_address": "auto"}


@pytest.mark.parametrize("backend", [None, "process"])
def test_an_address_without_ray_is_refused(backend: str | None) -> None:
    with pytest.raises(InvalidError, match="--backend ray"):
        chosen(backend, "auto")
