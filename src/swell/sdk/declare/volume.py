"""Volumes: shared directories by name.

Recorded with the Function and shown; containers of this machine share its file system, so nothing is mounted. This
module must not know functions or containers.
"""

from __future__ import annotations

from typing import Final

from swell.names import check_object_name

__all__ = ["Volume"]


class Volume:
    """A named directory that a Function requests at a path.

    Attributes:
        name: Its name.
        is_read_only: True if containers may not write to it.
    """

    def __init__(self, name: str, is_read_only: bool = False) -> None:
        self.name: Final = name
        self.is_read_only: Final = is_read_only

    @staticmethod
    def from_name(
        name: str, *, environment_name: str | None = None, create_if_missing: bool = False, version: int | None = None
    ) -> Volume:
        """Refer to a Volume by name.

        Args:
            name: Name of the Volume.
            environment_name: Accepted for compatibility.
            create_if_missing: Accepted for compatibility.
            version: Accepted for compatibility.

        Raises:
            InvalidError: the name is not allowed.
        """
        check_object_name(name, "Volume")
        return Volume(name)

    def read_only(self) -> Volume:
        """Return the same Volume, read only."""
        return Volume(self.name, is_read_only=True)

    def __repr__(self) -> str:
        return f"Volume({self.name!r}{', read only' if self.is_read_only else ''})"
