"""`swell dashboard`: prints a link that logs in a browser once, and opens it.

This module must not know what the dashboard shows.
"""

from __future__ import annotations

import http.client
import os
import sys
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from swell.cli.options import json_option
from swell.cli.rpc import ask, require_local
from swell.cli.show import terminal
from swell.cli.show.json_output import print_json
from swell.errors import AuthError, ConnectionError, NotFoundError
from swell.private_files import read_file
from swell.wire.queries import GetStatus, Status

__all__ = ["dashboard"]

PATIENCE_S: Final = 10.0  #: for the answer of an edge on this machine
TOKENS: Final = "/api/v1/login-tokens"

EXAMPLES: Final = """\b
Examples:
  swell dashboard                                open it in the browser
  swell dashboard --no-open                      only print the link
"""


class _LoginToken(Struct, frozen=True):
    path: str
    expires_in_s: float


@click.command(epilog=EXAMPLES, short_help="Open the dashboard in a browser.")
@click.option("--no-open", is_flag=True, help="Only print the link.")
@json_option
def dashboard(no_open: bool, as_json: bool) -> None:
    """Print a link to the dashboard of the daemon, and open it, if this is a terminal with a screen.

    The link logs in one browser, once, within ten minutes. The browser then stays logged in until the server ends.
    """
    require_local("the dashboard opens with a token that is kept")
    found = ask(Status, GetStatus)
    if not found.admin_url:
        raise NotFoundError(f"this server has no dashboard: {found.web_trouble or 'it does not listen for HTTP (yet)'}")
    login = _login_token(found.admin_url, Path(found.admin_token_file))
    url = found.admin_url + login.path
    if as_json:
        print_json({"url": url, "admin_url": found.admin_url, "expires_in_s": login.expires_in_s})
    else:
        terminal.line(url)
    # A program that reads the link wants no window; over SSH, the browser would be that of the wrong machine.
    if not no_open and not as_json and sys.stdout.isatty() and _has_screen():
        webbrowser.open(url)


def _login_token(admin_url: str, token_file: Path) -> _LoginToken:
    try:
        token = read_file(token_file, is_secret=True).decode().strip()
    except OSError as error:
        raise AuthError(f"cannot read {token_file}, which opens the dashboard: {error.strerror}") from None
    asking = urllib.request.Request(admin_url + TOKENS, method="POST", headers={"authorization": f"Bearer {token}"})
    # Never by a proxy of the environment: the address is this machine's, and the token opens everything.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asking, timeout=PATIENCE_S) as answer:
            return msgspec.json.decode(answer.read(), type=_LoginToken)
    except urllib.error.HTTPError as error:
        raise AuthError(f"{admin_url} does not accept the token in {token_file}: {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ConnectionError(f"the dashboard at {admin_url} does not answer: {reason}") from None


def _has_screen() -> bool:
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
