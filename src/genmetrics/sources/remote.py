"""Files at addresses (``s3://``, ``gs://``, ``hf://``, ``https://``, ``memory://`` …), through fsspec.

The only file that imports fsspec. ``RemotePath`` has what the sources use of ``pathlib.Path``, so that archives and
tables are read by the same code from either.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from genmetrics.errors import DependencyError, SourceError

__all__ = ["AnyPath", "RemotePath", "RemoteState", "is_remote", "remote_glob", "remote_path", "shown"]

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.+", re.DOTALL)
#: What fsspec needs besides itself.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
}
#: What a store says of the content of a file, whichever it has.
_TAGS = (
    *("ETag", "etag", "md5Hash", "md5", "sha256", "blob_id", "checksum", "generation"),
    *("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created"),
)
_BLOCK = 2**20


@dataclass(frozen=True)
class RemoteState:
    """What a store says of a file, under the names that ``os.stat`` has.

    Attributes:
        st_size: bytes.
        st_mtime_ns: always 0, and so is ``st_ctime_ns``.
        st_ino: a number made of the store's tag and times, another for other content.
    """

    st_size: int
    st_ino: int
    st_mtime_ns: int = 0
    st_ctime_ns: int = 0


@dataclass(frozen=True)
class RemotePath:
    """A file or folder of a store.

    Attributes:
        key: its name in the store.
        address: what is shown of it, without any credentials and query.
    """

    key: str = field(repr=False)
    address: str
    _system: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """Its own name, without its folder."""
        return self.address.rstrip("/").rpartition("/")[2]

    def is_dir(self) -> bool:
        """Whether it is a folder: whether anything is under it."""
        with self._errors():
            return bool(self._system.isdir(self.key))

    def exists(self) -> bool:
        """Whether anything is there."""
        with self._errors():
            return bool(self._system.exists(self.key))

    def stat(self) -> RemoteState:
        """Its size, and what tells its content from another."""
        with self._errors():
            return _state(self._system.info(self.key))

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """A file with a position of its own that can be read at any place, a block at a time."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: expected 'rb'")
        return io.BufferedReader(_Ranges(self), _BLOCK)

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``; fewer at the end of the file."""
        if size <= 0:
            return b""
        with self._errors():
            data: bytes = self._system.cat_file(self.key, start=offset, end=offset + size)
            return data

    def read_bytes(self) -> bytes:
        """All of it."""
        with self._errors():
            data: bytes = self._system.cat_file(self.key)
            return data

    def find(self) -> dict[str, tuple[RemotePath, RemoteState]]:
        """All files below a folder by their path in it, listed once."""
        root = self.key.rstrip("/") + "/"
        with self._errors():
            found = self._system.find(self.key, detail=True)
        files = {}
        for key, info in found.items():
            if key.startswith(root) and not key.endswith("/"):
                name = key.removeprefix(root)
                address = f"{self.address.rstrip('/')}/{name}"
                files[name] = (RemotePath(key, address, self._system), _state(info))
        return files

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn whatever a store's library raises into an ``OSError`` that shows neither credentials nor queries."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(f"'{self}' does not exist") from None
        except Exception as error:
            # What a library says of a signed address may hold the signature, whole or in parts.
            text = f"{type(error).__name__}: {error}" if self.key in self.address else type(error).__name__
            text = re.sub(r"\?[^\s'\"]*", "?…", re.sub(r"//[^/@\s]+@", "//", text))
            raise OSError(f"'{self}' cannot be read: {text}") from None


class _Ranges(io.RawIOBase):
    """A remote file by range reads."""

    def __init__(self, path: RemotePath) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move there; nothing is read."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what one request gives."""
        data = self._path.read(self._position, min(len(buffer), self._size - self._position))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


AnyPath: TypeAlias = Path | RemotePath


def is_remote(text: str) -> bool:
    """Whether a text is an address and not a path of this machine."""
    return _ADDRESS.fullmatch(text) is not None


def shown(text: str) -> str:
    """An address without user, password, query and fragment; any other text as it is."""
    if not is_remote(text):
        return text
    parts = urlsplit(text)
    query = "" if parts.scheme in ("http", "https") or not parts.query else f"?{parts.query}"
    # Elsewhere a '?' is of a pattern, unless it assigns something.
    query = "" if "=" in query else query
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) + query


def remote_path(text: str) -> RemotePath:
    """What an address names; whether it is there is not looked at.

    Raises:
        DependencyError: naming the package that the scheme needs.
        SourceError: if there is no such scheme.
    """
    scheme = text.partition(":")[0].lower()
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise DependencyError(
            f"'{shown(text)}' needs the package 'fsspec' ({error}); install it with pip install 'genmetrics[remote]'"
        ) from error
    try:
        system, key = core.url_to_fs(text)
    except ImportError as error:
        if scheme in ("s3", "s3a") and (system := _arrow_s3()) is not None:
            return RemotePath(text.partition("://")[2].rpartition("@")[2], shown(text), system)
        package = _PACKAGES.get(scheme, f"for {scheme}://")
        raise DependencyError(
            f"'{shown(text)}': fsspec needs the package '{package}' for {scheme}:// addresses; install it with "
            f"pip install {package}"
        ) from error
    except ValueError as error:
        raise SourceError(
            f"'{shown(text)}': no store of the scheme '{scheme}://' is known; expected one that fsspec reads, such as "
            "s3://, gs://, hf:// or https://"
        ) from error
    except Exception as error:  # credentials and settings that a store's library refuses
        raise SourceError(f"'{shown(text)}': its store cannot be opened ({type(error).__name__})") from None
    return RemotePath(key, shown(text), system)


def remote_glob(text: str) -> list[str]:
    """The addresses that match a pattern with ``*`` and ``?``, sorted."""
    pattern = remote_path(text)
    with pattern._errors():
        keys = sorted(pattern._system.glob(pattern.key.replace("[", "[[]")))
    return [f"{text.partition('://')[0]}://{key.lstrip('/')}" if "://" not in key else key for key in keys]


def _arrow_s3() -> Any:
    """S3 by pyarrow, which is there wherever parquet is read; None without it."""
    try:
        fs = importlib.import_module("pyarrow.fs")
        wrapper = importlib.import_module("fsspec.implementations.arrow")
    except ImportError:
        return None
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    scheme, _, host = (endpoint or "").partition("://")
    given = {"endpoint_override": host, "scheme": scheme} if endpoint else {}

    class Seekable(wrapper.ArrowFSWrapper):  # type: ignore[name-defined,misc]
        """Reads ranges from the beginning as well, where the wrapper would open a stream and fail to seek in it."""

        def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: object) -> Any:
            return super().cat_file(path, start=start, end=end, **{**options, "seekable": True})

    return Seekable(fs.S3FileSystem(**given))


def _state(info: dict[str, Any]) -> RemoteState:
    tag = "\0".join(str(info[name]) for name in _TAGS if info.get(name) is not None)
    number = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "big") if tag else 0
    return RemoteState(int(info.get("size") or 0), number)
