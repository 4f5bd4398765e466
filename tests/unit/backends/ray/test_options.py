from __future__ import annotations

import pytest

from swell.backends.ray.options import check_runtime_env
from swell.errors import InvalidError


def test_a_runtime_environment_is_a_json_object_or_nothing() -> None:
    assert check_runtime_env("") == ""
    assert check_runtime_env('{"uv": ["swell"]}') == '{"uv": ["swell"]}'
    for text in ("{", "[]", '"uv"'):
        with pytest.raises(InvalidError, match="JSON object"):
            check_runtime_env(text)
