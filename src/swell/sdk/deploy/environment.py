"""The environment of this program for its containers: interpreter, directory, import path, variables, arguments.

This module must not know apps, files, or how a container enters an environment.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from swell.bounds import ARGUMENTS_MAX
from swell.errors import InvalidError, VersionError
from swell.model import Environment
from swell.names import is_text
from swell.sdk.deploy.roots import Roots

__all__ = ["check_python", "command_line", "deployed_environment", "present_environment"]

#: Variables that swell sets for each process; not the user's.
_OWN_VARIABLES: Final = ("SWELL_SERVER", "SWELL_TOKEN", "SWELL_TASK_ID", "SWELL_IS_REMOTE", "SWELL_RUN_DIR")

#: Variables that name a terminal, a login session, its displays and agents, or a shell's place in it. A deployed
#: version outlives these, so that their values become wrong; and deploying the same again from another terminal must
#: not look like a change. Variables that users set for programs are kept, such as PATH, LANG and tokens: so these are
#: whole names, and prefixes only if they belong to one program.
_OF_A_SESSION: Final = {
    "_",
    "COLORTERM",
    "COLUMNS",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_STARTUP_ID",
    "DISPLAY",
    "GPG_TTY",
    "HISTFILE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LINES",
    "OLDPWD",
    "PROMPT_COMMAND",
    "PS1",
    "PWD",
    "SESSION_MANAGER",
    "SHLVL",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "STY",
    "SUDO_COMMAND",
    "SUDO_GID",
    "SUDO_UID",
    "SUDO_USER",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TERMCAP",
    "TERMINFO",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TERM_SESSION_ID",
    "TMUX",
    "VTE_VERSION",
    "WAYLAND_DISPLAY",
    "WINDOWID",
    "WT_PROFILE_ID",
    "WT_SESSION",
    "XAUTHORITY",
    "XDG_SEAT",
    "XDG_VTNR",
}
_OF_SESSIONS: Final = (
    "ALACRITTY_",
    "DIRENV_",
    "GNOME_TERMINAL_",
    "ITERM_",
    "KITTY_",
    "KONSOLE_",
    "TMUX_",
    "VSCODE_",
    "WEZTERM_",
    "XDG_SESSION_",
)


def check_python(theirs: str) -> None:
    """Refuse to run code on a machine with another Python.

    Args:
        theirs: Its version, as in 3.11.

    Raises:
        VersionError: this program has another.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if theirs != here:
        raise VersionError(
            f"this program runs on Python {here}, and the containers of this server on Python {theirs}, which may read "
            f"neither its code nor its values: run it on Python {theirs}"
        )


def present_environment() -> Environment:
    """Return the environment of this program; its containers find its code at the same paths.

    Raises:
        InvalidError: its working directory has been deleted, or a path has a name that is not UTF-8.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise InvalidError(
            "the working directory of this program has been deleted, and its containers would begin there: change to "
            "another one, by cd or os.chdir"
        ) from None
    variables: dict[str, str] = {}
    raw: list[tuple[bytes, bytes]] = []
    for name, value in os.environ.items():
        if name in _OWN_VARIABLES:
            continue
        if is_text(name) and is_text(value):
            variables[name] = value
        else:
            raw.append((os.fsencode(name), os.fsencode(value)))
    path = tuple(_checked(os.path.abspath(entry), "sys.path") for entry in sys.path)
    return Environment(
        _checked(sys.executable, "the path of Python"),
        _checked(here, "the path of the working directory"),
        path,
        variables,
        argv=command_line(),
        raw_variables=tuple(raw),
    )


def _checked(path: str, what: str) -> str:
    if not is_text(path):
        raise InvalidError(f"{what} has a name that is not UTF-8, which containers do not get: {path!r}; rename it")
    return path


def command_line() -> tuple[bytes, ...]:
    """Return `sys.argv` as containers get it.

    Raises:
        InvalidError: this program has put something into it that is not a text, or is far too long.
    """
    arguments: list[Any] = getattr(sys, "argv", [])  # an interpreter that is embedded may have none
    if len(arguments) > ARGUMENTS_MAX:
        raise InvalidError(f"sys.argv has {len(arguments):,} entries, and containers get at most {ARGUMENTS_MAX:,}")
    encoded: list[bytes] = []
    for argument in arguments:
        try:
            encoded.append(os.fsencode(argument))
        except (TypeError, UnicodeEncodeError) as error:
            raise InvalidError(f"sys.argv, which containers get, has an entry that is no argument: {error}") from error
    return tuple(encoded)


def deployed_environment(roots: Roots, bundle: str) -> Environment:
    """Return the environment of a version, which outlives this program and reads local code from its bundle only.

    Args:
        roots: The roots of `sys.path`. Local ones are removed, from PYTHONPATH, too; that is kept even if it is empty
            then, since containers add the bundle to it.
        bundle: Digest of the bundle.
    """
    present = present_environment()
    variables = {name: value for name, value in present.variables.items() if not _is_of_a_session(name)}
    if variables.get("PYTHONPATH"):
        variables["PYTHONPATH"] = Roots.kept_in(variables["PYTHONPATH"])
    raw = tuple(one for one in present.raw_variables if not _is_of_a_session(os.fsdecode(one[0])))
    name = tuple(map(os.path.basename, present.argv[:1]))  # not its options: a version outlives what it was deployed by
    return Environment(present.python, present.cwd, roots.kept, variables, bundle, argv=name, raw_variables=raw)


def _is_of_a_session(name: str) -> bool:
    return name in _OF_A_SESSION or name.startswith(_OF_SESSIONS)
