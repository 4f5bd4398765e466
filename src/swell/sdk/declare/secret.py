"""Secrets: environment variables that are given directly, or referred to by a name.

Reads only the client's environment and `.env` files. This module must not know functions or containers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from swell.errors import InvalidError
from swell.names import check_object_name

__all__ = ["Secret"]

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_CHARS_MAX: Final = 16_384
_VALUE_CHARS_MAX: Final = 32_768


class Secret:
    """Environment variables for containers. Of several Secrets with the same key, the last one counts.

    A named Secret stands for variables of the environment in which the App is started; containers inherit these.

    Attributes:
        variables: Its own variables; empty for a named Secret.
        required_keys: Variables that must be set when the App is loaded.
    """

    def __init__(self, variables: Mapping[str, str], name: str = "", required_keys: Sequence[str] = ()) -> None:
        self.variables: Final = dict(variables)
        self.name: Final = name
        self.required_keys: Final = tuple(required_keys)

    @staticmethod
    def from_dict(env_dict: Mapping[str, str | None] | None = None) -> Secret:
        """Return a Secret with these variables; a key with the value None is left out.

        Raises:
            InvalidError: it is not a mapping of str to str or None, a key is not valid, or a value is too long.
        """
        return Secret(check_variables(env_dict or {}, "Secret.from_dict"))

    @staticmethod
    def from_name(name: str, *, environment_name: str | None = None, required_keys: Sequence[str] = ()) -> Secret:
        """Return a Secret that stands for variables of the environment in which the App is started.

        Args:
            name: Name of the Secret; shown, and its characters are checked.
            environment_name: Accepted for compatibility.
            required_keys: Variables that must be set when the App is loaded.
        """
        check_object_name(name, "Secret")
        return Secret({}, name, required_keys)

    @staticmethod
    def from_dotenv(path: str | os.PathLike[str] | None = None, *, filename: str = ".env") -> Secret:
        """Return a Secret with the variables of a `.env` file.

        Args:
            path: First directory to search, or a file in it; then its parents. Default: the working directory.
            filename: Name of the file.

        Raises:
            InvalidError: no such file is found up to the root, or one of its lines cannot be parsed.
        """
        start = Path.cwd() if path is None else Path(path).resolve()
        directory = start.parent if start.is_file() else start
        for place in (directory, *directory.parents):
            if (place / filename).is_file():
                return Secret.from_dict(_read_dotenv(place / filename))
        raise InvalidError(f"there is no {filename} in {directory} or above it")

    @staticmethod
    def from_local_environ(env_keys: Sequence[str]) -> Secret:
        """Return a Secret with variables of this process. In a container, missing variables are not an error.

        Raises:
            InvalidError: a variable is not set.
        """
        from swell.wire.context import is_local

        missing = [key for key in env_keys if key not in os.environ]
        if missing and is_local():
            raise InvalidError(f"Secret.from_local_environ: the environment variable {missing[0]} is not set")
        return Secret.from_dict({key: os.environ[key] for key in env_keys if key not in missing})

    def __repr__(self) -> str:
        return f"Secret({self.name!r})" if self.name else f"Secret(keys={sorted(self.variables)})"


def check_variables(variables: Mapping[str, str | None], where: str) -> dict[str, str]:
    """Return environment variables as a plain dict without the None values.

    Raises:
        InvalidError: names the key and the bound, but no value, which may be a secret.
    """
    if not isinstance(variables, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"{where} takes a dict of str to str, not a {type(variables).__name__}")
    for key, value in variables.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(
                f"{where} takes a dict of str to str: the value of {key!r} is a {type(value).__name__}; use str(…)"
            )
        if not _KEY.fullmatch(key) or len(key) > _KEY_CHARS_MAX:
            raise InvalidError(
                f"{where}: {key!r} cannot name an environment variable; use letters, digits and underscores, "
                f"no digit first, at most {_KEY_CHARS_MAX} characters"
            )
        if value is not None and len(value) > _VALUE_CHARS_MAX:
            raise InvalidError(
                f"{where}: the value of {key} has {len(value)} characters; at most {_VALUE_CHARS_MAX} fit"
            )
    return {key: value for key, value in variables.items() if value is not None}


def _read_dotenv(path: Path) -> dict[str, str]:
    variables: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidError(f"{path}:{number}: expected KEY=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = value.split(" #", 1)[0].rstrip()
        variables[key.strip()] = value
    return variables
