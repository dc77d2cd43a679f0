from __future__ import annotations

import subprocess
import sys

import pytest

from genmetrics.errors import UsageError
from genmetrics.registry import load_target
from genmetrics.sources import SOURCES, SourceInfo, register_source
from genmetrics.sources.base import ImageSource


def test_listing_the_kinds_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from genmetrics.sources import SOURCES; print(*SOURCES); "
        "from genmetrics.sources.datasets import list_datasets; assert list_datasets(); "
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "folder zip tar wds npz npy parquet arrow hf files array torchscript onnx python "
        "dataset loader iterable generator",
        "[]",
    ]


@pytest.mark.parametrize("kind", list(SOURCES))
def test_every_target_is_a_source_of_its_kind(kind: str) -> None:
    info = SOURCES.get(kind)
    target = load_target(info.target)

    assert issubclass(target, ImageSource)
    assert target.kind == info.kind == kind
    assert info.summary


def test_a_name_is_given_once() -> None:
    with pytest.raises(UsageError, match="source kind 'zip' is registered already"):
        register_source(SourceInfo("zip", "a:b", "another"))
