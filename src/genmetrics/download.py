"""Downloading a published file, whose content is known beforehand."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from genmetrics.files import new_file_beside

__all__ = ["TIMEOUT_SECONDS", "DownloadError", "download"]

TIMEOUT_SECONDS = 10
_CHUNK = 1 << 20
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


class DownloadError(Exception):
    """Why a file could not be had; the text is for a message of the caller's."""


def download(
    url: str,
    target: Path,
    algorithm: str,
    digest: str,
    progress: Callable[[int, int | None], None] | None = None,
) -> str:
    """Fetch a file; it appears under its name only when it is whole and its content is the published one.

    Args:
        url: its address.
        target: where it goes; the folder is made.
        algorithm: by which its content is known, such as ``sha256``.
        digest: of its content, hexadecimal, or the beginning of it; empty where nobody has published it.
        progress: called with the bytes done and the bytes in all (None if unknown).

    Returns:
        The whole digest of what came.

    Raises:
        DownloadError: if the address does not answer, or gives something else.
        OSError: if the folder cannot be written.
    """
    found, done = hashlib.new(algorithm, usedforsecurity=False), 0
    temporary: Path | None = None
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = new_file_beside(target)
            with temporary.open("wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    found.update(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, int(length) if length else None)
        if length and done != int(length):
            raise DownloadError(f"{url} ended after {done} of {length} bytes")
        if not found.hexdigest().startswith(digest):
            raise DownloadError(
                f"{url} gave other content ({done} bytes, {algorithm} {found.hexdigest()[:12]}…) than the published "
                f"file ({algorithm} {digest[:12]}…)"
            )
        temporary.replace(target)
        return found.hexdigest()
    except _NETWORK_ERRORS as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise DownloadError(str(getattr(error, "reason", error))) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
