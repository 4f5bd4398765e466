"""Where the containers of a daemon run, as it was said when it was started: kept in its data directory.

Environment and file go before what is remembered. This module must not know what the settings mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from swell.errors import InvalidError
from swell.private_files import read_file, replace_file

__all__ = ["remember", "remembered"]

FILE: Final = "backend.json"
NAMES: Final = ("backend", "ray_address")  #: of settings that are remembered


def remembered(data_dir: Path) -> dict[str, str]:
    """Return the settings that a data directory remembers, by name.

    Raises:
        InvalidError: the file cannot be read, or others may write to it.
    """
    path = data_dir / FILE
    try:
        values = msgspec.json.decode(read_file(path), type=dict[str, str])
    except (FileNotFoundError, NotADirectoryError):  # the directory itself will be refused by name
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidError(f"cannot read {path}: {error}; `swell start --backend` writes it anew") from None
    return {name: value for name, value in values.items() if name in NAMES}


def remember(data_dir: Path, values: dict[str, str]) -> None:
    """Keep settings for each later start.

    Raises:
        OSError: they cannot be written.
    """
    replace_file(data_dir / FILE, msgspec.json.encode(values))
