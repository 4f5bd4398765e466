"""Tokens, as a person makes, sees and revokes them."""

from __future__ import annotations

import re

from place import Place


def test_a_token_is_made_shown_once_listed_and_revoked(place: Place) -> None:
    assert "There are no tokens" in place.told("token", "list")
    made = place.swell("token", "create", "--name", "for tests")
    assert made.returncode == 0
    found = re.fullmatch(r"Swell-Key: (wk-[0-9a-f]+)\nSwell-Secret: (ws-[\w-]+)\n", made.stdout)
    assert found is not None, made.stdout
    token_id, secret = found.groups()
    assert "not shown again" in made.stderr

    listed = place.told("token", "list")
    assert token_id in listed
    assert "for tests" in listed
    assert secret not in listed
    (row,) = place.json("token", "list", "--json")
    assert (row["token_id"], row["name"]) == (token_id, "for tests")

    assert place.told("token", "revoke", token_id) == f"{token_id} is revoked\n"
    assert place.json("token", "list", "--json") == []
    again = place.swell("token", "revoke", token_id)
    assert again.returncode == 1
    assert f"there is no token {token_id}" in again.stderr


def test_a_token_as_json(place: Place) -> None:
    made = place.json("token", "create", "--json")
    assert set(made) == {"token_id", "secret", "name"}
    assert [row["token_id"] for row in place.json("token", "list", "--json")] == [made["token_id"]]
