"""Source files as one archive, named by its content: pack it, check it, and write its files to a directory.

    archive = zlib(msgpack map from path to contents, in order of paths)
    digest  = sha256 over a label and, in that order, length and bytes of every path and of its contents

Equal files have an equal digest, whichever program made the archive. Archives are not trusted: sizes and counts are
bounded before anything is allocated for them, and a path that leaves the directory is refused. This module must not
know which files belong to an app, or where a server keeps them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from swell.errors import InvalidError

__all__ = ["EMPTY", "FILES_MAX", "SIZE_MAX", "checked", "digest_of", "pack", "unpack", "write"]

FILES_MAX: Final = 10_000  #: files of one bundle
SIZE_MAX: Final = 64 << 20  #: bytes of their contents together, and of the archive
PATH_MAX: Final = 1_000  #: bytes of one path
NAME_MAX: Final = 255  #: bytes of a part of a path: the bound of file systems

_LABEL: Final = b"swell bundle 1\n"
_COUNTED: Final = 8  #: bytes of a length in the digest
_PACKED_MAX: Final = SIZE_MAX + FILES_MAX * (PATH_MAX + 8) + 5  # 3 + 5 bytes before a path and its contents at most
_STARTED_BY_KERNEL: Final = (b"#!", b"\x7fELF")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


# ---------------------------------------------------------------- archives


def pack(files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return (digest, archive) of files by their path in the bundle.

    Raises:
        InvalidError: a path is not a plain relative one, or a bound is exceeded.
    """
    _check(files)
    ordered = dict(sorted(files.items()))
    archive = zlib.compress(_encoder.encode(ordered))
    if len(archive) > SIZE_MAX:  # contents just below the bound that cannot be compressed
        raise InvalidError(f"a bundle takes {len(archive):,} bytes, over the limit of {SIZE_MAX:,}: leave files out")
    return digest_of(ordered), archive


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the name of a bundle: 64 hexadecimal digits that depend only on paths and contents."""
    digest = sha256(_LABEL)
    for path, contents in sorted(files.items()):
        for part in (path.encode(), contents):
            digest.update(len(part).to_bytes(_COUNTED, "little"))
            digest.update(part)
    return digest.hexdigest()


EMPTY: Final = digest_of({})  #: the name of the bundle without files


def checked(digest: str, archive: bytes | memoryview) -> dict[str, bytes]:
    """Return the files in the archive of a bundle, by path.

    Raises:
        InvalidError: as `unpack`, or the files are not those of the bundle of that name.
    """
    files = unpack(archive)
    if digest_of(files) != digest:
        raise InvalidError(f"the bundle is not what its digest {digest:.200} says")
    return files


def unpack(archive: bytes | memoryview) -> dict[str, bytes]:
    """Return the files in an archive, by path.

    Raises:
        InvalidError: it is damaged, exceeds a bound, or has a path that is not a plain relative one.
    """
    packed = _inflated(archive)
    if (count := _count(packed)) > FILES_MAX:
        raise InvalidError(f"a bundle has {count} files, over the limit of {FILES_MAX:,}")
    try:
        files = _decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise InvalidError(f"a bundle is damaged: {error}") from None
    _check(files)
    return files


def _inflated(archive: bytes | memoryview) -> bytes:
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(archive, _PACKED_MAX + 1)
    except zlib.error as error:
        raise InvalidError(f"a bundle is damaged: {error}") from None
    if len(packed) > _PACKED_MAX:
        raise InvalidError(f"a bundle inflates to more than {_PACKED_MAX:,} bytes, which no {FILES_MAX:,} files need")
    if not inflater.eof or inflater.unused_data:
        raise InvalidError("a bundle is damaged: it is cut off, or something follows it")
    return packed


def _count(packed: bytes) -> int:
    """Return the number of entries that a msgpack map claims: many tiny ones would take far more memory than bytes.

    64 MiB of one-letter paths without contents, 4 bytes each, would become a dict of 2 GB.
    """
    match packed[:1]:
        case b"\xde":
            return int.from_bytes(packed[1:3], "big")
        case b"\xdf":
            return int.from_bytes(packed[1:5], "big")
        case _:
            return 0  # at most 15, or no map, which the decoder refuses


# ---------------------------------------------------------------- bounds


def _check(files: Mapping[str, bytes]) -> None:
    if len(files) > FILES_MAX:
        raise InvalidError(f"a bundle has {len(files)} files, over the limit of {FILES_MAX:,}")
    size = sum(map(len, files.values()))
    if size > SIZE_MAX:
        raise InvalidError(f"the files of a bundle have {size:,} bytes, over the limit of {SIZE_MAX:,}")
    for path in files:
        _check_path(path)
        folder = os.path.dirname(path)
        while folder:
            if folder in files:
                raise InvalidError(f"a bundle cannot have a file {folder!r} and a file {path!r} below it")
            folder = os.path.dirname(folder)


def _check_path(path: str) -> None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"{path!a} cannot be in a bundle: its name is not UTF-8; rename it") from None
    parts = encoded.split(b"/")
    if b"\0" in encoded or any(part in (b"", b".", b"..") for part in parts):
        raise InvalidError(f"{path!r:.300} cannot be in a bundle: paths are relative, without '..', '.' or empty parts")
    if len(encoded) > PATH_MAX or max(map(len, parts)) > NAME_MAX:
        raise InvalidError(
            f"{path!r:.300} cannot be in a bundle: paths have at most {PATH_MAX:,} bytes, names {NAME_MAX}"
        )


# ---------------------------------------------------------------- on disk


def write(files: Mapping[str, bytes], directory: str, *, to_disk: bool = True) -> None:
    """Write files as a new directory, atomically: if it exists, it is complete, and nothing is done.

    Only this user may read them. A file that the kernel can start, by its first bytes, is made executable.

    Args:
        files: By path, as `unpack` returns them.
        directory: The directory to make; its parent must exist, and be on the same file system.
        to_disk: It is complete even after a power failure; needed only where it is kept.

    Raises:
        InvalidError: a path is not a plain relative one, or a bound is exceeded.
        OSError: there is no room, or no permission.
    """
    if os.path.isdir(directory):
        return
    _check(files)
    parent, name = os.path.split(os.path.abspath(directory))
    draft = tempfile.mkdtemp(prefix=f"~{name}.", dir=parent)
    try:
        _fill(draft, files, to_disk=to_disk)
        os.rename(draft, directory)
    except OSError:
        if not os.path.isdir(directory):
            raise
        # Else another process was faster, with the same files.
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(draft)


def _fill(directory: str, files: Mapping[str, bytes], *, to_disk: bool) -> None:
    made: set[str] = set()
    for path, contents in files.items():
        for end in (at for at, character in enumerate(path) if character == "/"):
            if (folder := path[:end]) not in made:
                os.mkdir(os.path.join(directory, folder), 0o700)
                made.add(folder)
        mode = 0o700 if contents.startswith(_STARTED_BY_KERNEL) else 0o600
        fd = os.open(os.path.join(directory, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(fd, "wb") as file:
            file.write(contents)
            if to_disk:  # an existing directory is taken to be complete
                file.flush()
                os.fsync(fd)
