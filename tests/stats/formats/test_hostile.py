"""No file runs anything, whatever tool it pretends to be of."""

from __future__ import annotations

import gc
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import is_statistics, load_stats
from support.hostile import FILES, ROUTES, route


def write(kind: str, name: str, folder: Path) -> tuple[Path, Path]:
    """A hostile file, and what it creates if it is run."""
    file_name, save, _ = FILES[kind]
    path, created = folder / file_name, folder / "created"
    save(path, route(name, created))
    return path, created


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("kind", FILES)
def test_nothing_is_run(kind: str, name: str, tmp_path: Path) -> None:
    path, created = write(kind, name, tmp_path)

    is_statistics(path)
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)

    assert not created.exists()
    text = str(caught.value)
    assert text.startswith(f"statistics file '{path}'")
    asked = (
        "'mu' is object of shape (): pickled Python objects" if kind == "npz" else f"it asks for '{ROUTES[name][1]}'"
    )
    assert asked in text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("kind", FILES)
def test_the_negative_control(kind: str, name: str, tmp_path: Path) -> None:
    """The same files do run in the loaders that the other tools use."""
    path, created = write(kind, name, tmp_path)

    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FILES[kind][2](path)
    gc.collect()

    assert created.is_dir()
