"""Paths of the sockets on which containers answer HTTP."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.wire.web_names import PATH_MAX, socket_path

CONTAINER = "ta-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USUAL = "/dev/shm/swell-1000-0123456789abcdef/web"


def test_a_function_has_one_socket_and_a_method_one_of_its_own() -> None:
    paths = {socket_path(USUAL, CONTAINER, method) for method in ("", "index", "score", "index_")}
    assert len(paths) == 4
    assert socket_path(USUAL, CONTAINER, "") == f"{USUAL}/{CONTAINER}"
    assert socket_path(USUAL, CONTAINER, "index") == socket_path(USUAL, CONTAINER, "index")


@pytest.mark.parametrize("method", ["a" * 10_000, "größe", "предсказание"])
def test_any_name_of_a_method_gives_a_short_path(method: str) -> None:
    path = socket_path(USUAL, CONTAINER, method)
    assert path.isascii()
    assert len(path) < PATH_MAX


def test_a_directory_that_is_too_deep_is_named_with_the_bound() -> None:
    fitting = "/" + "d" * (PATH_MAX - len(CONTAINER) - 2)
    assert len(socket_path(fitting, CONTAINER, "")) == PATH_MAX
    with pytest.raises(InvalidError, match=r"may have 107 bytes, and /d+/ta-[A-Z]+ has 108"):
        socket_path(fitting + "d", CONTAINER, "")
