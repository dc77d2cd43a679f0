"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from genmetrics.errors import OutputError

__all__ = ["check_writable", "file_digest", "new_file_beside", "write_atomically", "write_text"]

_CHUNK = 1 << 20


def file_digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file's bytes, such as by ``sha256``.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_writable(path: Path) -> None:
    """Raise an ``OutputError`` if a file cannot be written there; nothing is left behind."""
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder; give a file name, such as '{path}/report.json'")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write '{path}': the folder '{folder}' does not exist; create it first")
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written under a temporary name, then move it into place; what stood there stays until then.

    The file has the permissions that the process's umask gives to new files.

    Args:
        path: the file.
        write: writes to the path that it is given, an empty file in the same folder.

    Raises:
        OutputError: if it cannot be written; what was written of it is removed.
    """
    check_writable(path)
    try:
        temporary = new_file_beside(path)
        try:
            mode = temporary.stat().st_mode
            write(temporary)
            temporary.chmod(mode)  # some writers put a file of their own in its place
            # A system that finds the disk full only when it writes the blocks must say so before the move.
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error


def new_file_beside(path: Path) -> Path:
    """A new, empty file with a name that nobody uses, in the same folder and with the permissions of the umask.

    Raises:
        OSError: if it cannot be made.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; it appears only when it is whole.

    Raises:
        OutputError: if it cannot be written.
    """

    def write(temporary: Path) -> None:
        # Names of files that are no UTF-8 come as characters that UTF-8 has none for; JSON reads these escapes.
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))

    write_atomically(path, write)
