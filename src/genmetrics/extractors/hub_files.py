"""Files of the Hugging Face hub, each pinned to one commit, and where the hub's own library keeps them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HubFile", "hub_cache"]


@dataclass(frozen=True)
class HubFile:
    """A file of the Hugging Face hub in one state.

    Attributes:
        repository: ``owner/name``.
        revision: the commit, 40 hexadecimal digits.
        filename: within the repository.
    """

    repository: str
    revision: str
    filename: str

    @property
    def url(self) -> str:
        """Where it can be had."""
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.filename}"

    @property
    def cached(self) -> Path:
        """Where the hub's own library keeps it once that has fetched it."""
        folder = f"models--{self.repository.replace('/', '--')}"
        return hub_cache() / folder / "snapshots" / self.revision / self.filename


def hub_cache() -> Path:
    """The cache of the hub's library: ``HF_HUB_CACHE``, or ``hub`` in ``HF_HOME``, or that in the user's cache."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("HF_HOME") or caches / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
