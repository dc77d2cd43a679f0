"""What to type instead where weights are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genmetrics as gm
from genmetrics.errors import MissingWeightsError

HINT = "or another network:   --extractor efficientnet-lite0.in1k  (installed already"


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some images, and neither weights nor a network."""
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("genmetrics.extractors.published.fetch_weights", _missing)
    monkeypatch.setattr("genmetrics.extractors.lpips.fetch_weights", _missing, raising=False)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def _missing(published: object, progress: object = None) -> None:
    raise MissingWeightsError("no weights here")


@pytest.mark.parametrize("metrics", [None, "fid", "fid,kid,isc", "cmmd"])
def test_another_network_is_named_where_it_can_be_taken(images, metrics):
    with pytest.raises(MissingWeightsError) as caught:
        gm.evaluate(images, images, metrics, device="cpu", cache=False)
    assert str(caught.value).startswith("no weights here\n") and HINT in str(caught.value)


@pytest.mark.parametrize("metrics", ["sfid", "fid,sfid", "clip_score", "fd.vgg16.tv-in1k"])
def test_and_nowhere_else(images, metrics):
    captions = ["a", "b", "c"] if metrics == "clip_score" else None
    with pytest.raises(MissingWeightsError) as caught:
        gm.evaluate(images, images, metrics, captions=captions, device="cpu", cache=False)
    assert str(caught.value) == "no weights here"


def test_of_statistics_and_of_an_evaluator(images):
    with pytest.raises(MissingWeightsError, match="--extractor efficientnet"):
        gm.compute_stats(images, ["fid"], device="cpu", cache=False)
    with pytest.raises(MissingWeightsError, match="--extractor efficientnet"):
        gm.Evaluator(images, "fid", device="cpu", cache=False)
