"""The keys of the port for clients on other machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from swell.config import Settings
from swell.errors import InvalidError
from swell.server.client_keys import TOKEN_MIN, ClientKeys
from swell.server.paths import ServerPaths


@pytest.fixture
def paths(tmp_path: Path) -> ServerPaths:
    return ServerPaths("unix:/x", tmp_path / "run", tmp_path)


def test_they_are_made_once_and_nobody_else_can_read_them(paths: ServerPaths) -> None:
    keys = ClientKeys.load(paths, Settings())
    assert b"PRIVATE KEY" in keys.certificate
    assert len(keys.token) >= TOKEN_MIN
    assert ClientKeys.load(paths, Settings()) == keys
    for path in (paths.client_certificate_path, paths.client_token_path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_deleted_is_made_anew_and_the_other_stays(paths: ServerPaths) -> None:
    former = ClientKeys.load(paths, Settings())
    paths.client_certificate_path.unlink()
    found = ClientKeys.load(paths, Settings())
    assert found.certificate != former.certificate
    assert found.token == former.token
    paths.client_token_path.unlink()
    assert ClientKeys.load(paths, Settings()).token != former.token


def test_the_token_of_the_settings_is_taken_and_none_is_made(paths: ServerPaths) -> None:
    assert ClientKeys.load(paths, Settings(token="t" * TOKEN_MIN)).token == "t" * TOKEN_MIN
    assert not paths.client_token_path.exists()


def test_a_token_that_could_be_guessed_is_refused(paths: ServerPaths) -> None:
    with pytest.raises(InvalidError, match=r"the setting token \(SWELL_TOKEN\) has 5 characters, too few to listen"):
        ClientKeys.load(paths, Settings(token="short"))


def test_a_file_that_others_could_read_is_refused(paths: ServerPaths) -> None:
    ClientKeys.load(paths, Settings())
    paths.client_token_path.chmod(0o644)
    with pytest.raises(InvalidError, match="others may read or write"):
        ClientKeys.load(paths, Settings())
