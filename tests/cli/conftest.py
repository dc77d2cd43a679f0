"""Runs the command line in this process, which saves importing torch for each test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from genmetrics.cli.main import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def genmetrics(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """``genmetrics("eval", "samples/")`` runs the command and tells how it ended."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["genmetrics", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(0 if code is None else int(code), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def two_sets(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    """A generated and a reference folder, small enough for many runs."""
    return image_folder(12, 40, 48, seed=1), image_folder(14, 48, 40, seed=2)
