"""`swell dashboard` at a terminal."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from place import PATIENCE_S, Place


def test_without_a_server_it_says_how_to_start_one(place: Place) -> None:
    assert "swell start" in place.refused("dashboard")


def test_a_server_that_does_not_listen_for_http_has_none(place: Place) -> None:
    place.told("start")
    assert "this server has no dashboard" in place.refused("dashboard")


def test_it_prints_a_link_that_works_once(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "data", web=True)
    place.environment |= {"SWELL_ADMIN_PORT": "0", "SWELL_WEB_PORT": "0"}
    try:
        place.told("start")
        place.eventually(lambda: place.json("status")["admin_url"])
        shown = place.json("dashboard")
        link = place.told("dashboard", "--no-open").strip()
        assert link.startswith(f"{shown['admin_url']}/login?token=")
        assert shown["url"].startswith(f"{shown['admin_url']}/login?token=")
        assert shown["url"] != link
        assert 0 < shown["expires_in_s"] <= 600

        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
        with browser.open(link, timeout=PATIENCE_S) as page:
            assert page.url == link, "only the button of this page spends the link"
        with browser.open(link, data=b"", timeout=PATIENCE_S) as page:
            assert page.url == f"{shown['admin_url']}/"
            assert page.headers["content-security-policy"].startswith("default-src 'self'")
        with pytest.raises(urllib.error.HTTPError) as refused, browser.open(link, timeout=PATIENCE_S):
            pass
        assert refused.value.code == 403
        refused.value.close()

        Path(place.json("status")["admin_token_file"]).write_text("another")
        assert "does not accept the token" in place.refused("dashboard")
    finally:
        place.end()
