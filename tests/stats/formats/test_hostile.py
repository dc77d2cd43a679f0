"""No file runs anything, whatever tool it pretends to be of."""

from __future__ import annotations

import subprocess
import sys
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


# Imports once, then a process for each file: what such a file leaves behind is no state to go on from.
LOADING = """
import gc, os, sys, warnings
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.hostile import FILES
for line in sys.stdin.read().splitlines():
    kind, path = line.split("\\t")
    child = os.fork()
    if child == 0:
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FILES[kind][2](Path(path))
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def run_by_others(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bool]:
    """Whether each file did what it is made to do in the loaders that the other tools use."""
    written = {}
    for kind in FILES:
        for number, name in enumerate(ROUTES):
            written[kind, name] = write(kind, name, tmp_path_factory.mktemp(f"{kind.replace(' ', '-')}-{number}"))
    lines = "\n".join(f"{kind}\t{path}" for (kind, _), (path, _) in written.items())
    tests = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", LOADING, str(tests)], input=lines, text=True, check=True, capture_output=True)
    return {key: created.is_dir() for key, (_, created) in written.items()}


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("kind", FILES)
def test_the_negative_control(kind: str, name: str, run_by_others: dict[tuple[str, str], bool]) -> None:
    """The same files do run in the loaders that the other tools use."""
    assert run_by_others[kind, name]
