"""Fixtures of the source tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png


@pytest.fixture
def collect() -> Callable[..., Collected]:
    def run(source: ImageSource, shard: Shard | None = None, **options: object) -> Collected:
        return Collected(source.batches(shard or Shard(), BatchSpec(**options)))  # type: ignore[arg-type]

    return run


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of images in several formats, sizes and subfolders; returns its path."""

    def make(count: int = 5, name: str = "images") -> Path:
        root = tmp_path / name
        (root / "sub").mkdir(parents=True)
        for index in range(count):
            folder = root / "sub" if index % 3 == 2 else root
            (folder / f"{index:03}.png").write_bytes(png(pixels(index, 8 + index % 2, 6)))
        return root

    return make
