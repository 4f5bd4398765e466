"""The environment of this program, as its containers get it: interpreter, directory, import path, variables.

This module must not know apps, files, or how an environment is entered.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from swell.model import Environment
from swell.sdk.deploy.roots import Roots

__all__ = ["deployed_environment", "present_environment"]

#: Variables that belong to a place, not to the user's environment.
_OWN_VARIABLES: Final = ("SWELL_SERVER", "SWELL_TOKEN", "SWELL_TASK_ID", "SWELL_IS_REMOTE", "SWELL_RUN_DIR")

#: Variables that name a terminal, a login session, its displays and agents, or a shell's place in it. A deployed
#: version outlives these, so that their values would be wrong sooner or later; and deploying again from another
#: terminal, with nothing changed, is not to look like a change. What users set for programs stays, PATH, LANG and
#: tokens among it: hence whole names, and prefixes only where a program has them for itself.
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


def present_environment() -> Environment:
    """Return the surroundings of this program, where its containers find its code as it does."""
    variables = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    return Environment(sys.executable, os.getcwd(), tuple(map(os.path.abspath, sys.path)), variables)


def deployed_environment(roots: Roots, bundle: str) -> Environment:
    """Return the surroundings for a version that outlives this program, and reads local code from its bundle only.

    Args:
        roots: Those of `sys.path`. The local ones are left out, in PYTHONPATH, too, which stays even if nothing is left
            in it: containers put the bundle there.
        bundle: Digest of the files.
    """
    present = present_environment()
    variables = {name: value for name, value in present.variables.items() if not _is_of_a_session(name)}
    if variables.get("PYTHONPATH"):
        variables["PYTHONPATH"] = Roots.staying_in(variables["PYTHONPATH"])
    return Environment(present.python, present.cwd, roots.staying, variables, bundle)


def _is_of_a_session(name: str) -> bool:
    return name in _OF_A_SESSION or name.startswith(_OF_SESSIONS)
