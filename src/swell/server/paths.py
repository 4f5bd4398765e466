"""The address and the directories of a server. This module must not know what is put there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from swell.private_files import check_entry, make_directory
from swell.wire.blob_names import KEPT

__all__ = ["ServerPaths"]

ADMIN_TOKEN: Final = "admin.token"
CLIENT_CERTIFICATE: Final = "client-port.pem"
CLIENT_TOKEN: Final = "client-port.token"


class ServerPaths(Struct, frozen=True):
    """The address and the directories of one server."""

    address: str  #: as in unix:/path
    run_dir: Path  #: private, in memory if possible; gone with the server
    data_dir: Path | None = None  #: holds what outlives the server; None for one that keeps nothing
    remote_address: str = ""  #: as in tls://HOST:PORT#FINGERPRINT, for clients on other machines; "": not for them
    remote_token_file: str = ""  #: has the token that they need; "": it is a setting

    @property
    def blob_dir(self) -> Path:
        """Large arguments and results in transit."""
        return self.run_dir / "blobs"

    @property
    def web_dir(self) -> Path:
        """Sockets of containers that answer HTTP."""
        return self.run_dir / "web"

    @property
    def bundle_dir(self) -> Path:
        """Source files of apps that end with their clients."""
        return self.run_dir / "bundles"

    @property
    def admin_token_path(self) -> Path:
        """The token of the edge's admin surface. A daemon's stays the same from start to start."""
        return (self.data_dir or self.run_dir) / ADMIN_TOKEN

    @property
    def client_certificate_path(self) -> Path:
        """By which clients on other machines recognize a daemon, with its private key."""
        return (self.data_dir or self.run_dir) / CLIENT_CERTIFICATE

    @property
    def client_token_path(self) -> Path:
        """The token that a daemon asks of clients on other machines, unless its settings have one."""
        return (self.data_dir or self.run_dir) / CLIENT_TOKEN

    def make(self) -> None:
        """Make the directories that are not there yet.

        Raises:
            InvalidError: one that is there is a link or not this user's, or others may write to it.
        """
        for directory in (self.run_dir, self.blob_dir, self.web_dir, self.bundle_dir):
            make_directory(directory)
        kept = self.blob_dir / KEPT
        if self.data_dir is None:
            make_directory(kept)
            return
        for name in ("blobs", "bundles", "logs"):
            check_entry(self.data_dir / name)
            make_directory(self.data_dir / name)
        for secret in (self.admin_token_path, self.client_certificate_path, self.client_token_path):
            check_entry(secret, is_secret=True)
        kept.symlink_to(self.data_dir / "blobs")
