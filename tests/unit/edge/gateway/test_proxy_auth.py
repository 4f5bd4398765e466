"""Tokens that let requests in: how they are kept, and how a request shows one."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swell.edge.gateway import token_file
from swell.edge.gateway.head import Header, RequestHead
from swell.edge.gateway.proxy_auth import USED, ProxyTokens
from swell.errors import InvalidError, NotFoundError


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "home" / "proxy-tokens.json")


def head(*headers: Header) -> RequestHead:
    return RequestHead(b"GET", b"/", "1.1", [(b"host", b"x"), *headers])


def test_of_a_token_its_secret_is_not_kept_and_nobody_else_may_read(path: str) -> None:
    assert token_file.read(path) == []
    token, secret = token_file.create(path, "a name")
    assert token.token_id.startswith("wk-")
    assert secret.startswith("ws-")
    assert len(secret) >= 3 + 128 / 6
    assert secret not in Path(path).read_text()
    assert token_file.read(path) == [token]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_commands_at_the_same_time_lose_nothing(path: str) -> None:
    with ThreadPoolExecutor(8) as executor:
        made = list(executor.map(lambda n: token_file.create(path, str(n))[0], range(20)))
    assert {each.token_id for each in token_file.read(path)} == {each.token_id for each in made}
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda each: token_file.revoke(path, each.token_id), made[:15]))
    assert sorted(each.name for each in token_file.read(path)) == ["15", "16", "17", "18", "19"]


def test_what_a_killed_command_has_left_is_in_nobodys_way(path: str) -> None:
    token_file.create(path)
    Path(f"{path}.new").write_text("[hal")
    token_file.create(path)
    assert len(token_file.read(path)) == 2


def test_what_is_not_there_is_not_revoked_and_what_is_no_file_of_tokens_is_named(path: str) -> None:
    with pytest.raises(NotFoundError, match="wk-x"):
        token_file.revoke(path, "wk-x")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text('{"a": 1}')
    with pytest.raises(InvalidError, match=r"proxy-tokens\.json"):
        token_file.create(path)
    assert Path(path).read_text() == '{"a": 1}'


def test_a_token_may_be_shown_in_three_ways(path: str) -> None:
    token, secret = token_file.create(path)
    key, value = token.token_id.encode(), secret.encode()
    tokens = ProxyTokens(path)
    assert tokens.used_by(head((b"swell-key", key), (b"swell-secret", value))) == (token.token_id, USED)
    assert tokens.used_by(head((b"modal-key", key), (b"modal-secret", value))) == (token.token_id, USED)
    authorization = tokens.used_by(head((b"authorization", b"bearer " + key + b"." + value)))
    assert authorization == (token.token_id, USED | {b"authorization"})


def test_nothing_else_is_a_token(path: str) -> None:
    token, secret = token_file.create(path)
    other, _ = token_file.create(path)
    key, value, digest = token.token_id.encode(), secret.encode(), token.digest.encode()
    tokens = ProxyTokens(path)
    for shown in (
        (),
        ((b"swell-key", key),),
        ((b"swell-secret", value),),
        ((b"swell-key", key), (b"swell-secret", b"")),
        ((b"swell-key", b""), (b"swell-secret", b"")),
        ((b"swell-key", key), (b"swell-secret", digest)),
        ((b"swell-key", key), (b"modal-secret", value)),
        ((b"swell-key", other.token_id.encode()), (b"swell-secret", value)),
        ((b"swell-key", b"\xff"), (b"swell-secret", b"\xff\0")),
        ((b"authorization", b"Bearer " + key + value),),
        ((b"authorization", b"Bearer ."),),
        ((b"authorization", b"Basic " + key + b"." + value),),
    ):
        assert tokens.used_by(head(*shown)) is None, shown


def test_changes_of_the_file_are_seen(path: str) -> None:
    tokens = ProxyTokens(path)
    shown = head((b"swell-key", b"wk-x"), (b"swell-secret", b"ws-x"))
    assert tokens.used_by(shown) is None
    token, secret = token_file.create(path)
    shown = head((b"swell-key", token.token_id.encode()), (b"swell-secret", secret.encode()))
    assert tokens.used_by(shown)
    good = Path(path).read_bytes()
    Path(path).write_bytes(b"[")
    assert tokens.used_by(shown) is None
    Path(path).write_bytes(good)
    assert tokens.used_by(shown)
    token_file.revoke(path, token.token_id)
    assert tokens.used_by(shown) is None
    token_file.create(path)
    os.unlink(path)
    assert tokens.used_by(shown) is None
