"""CLIP scores: each image with its own caption, both scales, and the network run once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.engine.evaluator import Evaluator
from genmetrics.errors import UsageError
from support.pair_nets import Reader, embed_image, embed_text, registered_pair_networks

COUNT = 20


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_pair_networks():
        yield


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 256, (COUNT, 8, 6, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return [f"number {k} of them, {'abcdefgh'[k % 8] * k}" for k in range(COUNT)]


def cosines(images: np.ndarray, captions: list[str], prefix: str = "") -> np.ndarray:
    of_images = embed_image(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1).double()
    of_texts = torch.stack([embed_text(prefix + text) for text in captions]).double()
    products = (of_images * of_texts).sum(dim=1) / of_images.norm(dim=1) / of_texts.norm(dim=1)
    return products.numpy()


@pytest.mark.parametrize("options", [{}, {"batch_size": 3, "workers": 0}])
def test_both_scales(images, captions, options) -> None:
    report = gm.evaluate(images, None, ["reader_clip_score", "reader_clip_score_100"], captions=captions, **options)
    published = 2.5 * np.clip(cosines(images, captions, "A photo depicts "), 0, None)
    assert report["reader_clip_score"].value == pytest.approx(published.mean(), rel=1e-6)
    hundredfold = max(100 * cosines(images, captions).mean(), 0)
    assert report["reader_clip_score_100"].value == pytest.approx(hundredfold, rel=1e-6)
    swapped = 2.5 * np.clip(cosines(images, captions[::-1], "A photo depicts "), 0, None)
    assert report["reader_clip_score"].value != pytest.approx(swapped.mean(), rel=1e-6)


def test_each_image_is_told(images, captions) -> None:
    table = gm.evaluate(images, None, ["reader_clip_score_100"], captions=captions)["reader_clip_score_100"].per_image
    assert list(table["index"]) == list(range(COUNT))
    assert list(table["cosine"]) == pytest.approx(cosines(images, captions), rel=1e-5)


def test_the_network_sees_each_image_once(images, captions) -> None:
    Reader.runs = 0
    gm.evaluate(images, None, ["reader_clip_score", "reader_clip_score_100"], captions=captions)
    assert Reader.runs == COUNT


def test_a_selection_keeps_images_and_captions_together(images, captions) -> None:
    report = gm.evaluate(images, None, ["reader_clip_score_100"], captions=captions, num=7)
    chosen = np.sort(np.random.default_rng(2020).choice(COUNT, 7, replace=False))
    expected = cosines(images[chosen], [captions[k] for k in chosen])
    assert list(report["reader_clip_score_100"].per_image["cosine"]) == pytest.approx(expected, rel=1e-5)


def test_a_file_by_name(image_folder, tmp_path) -> None:
    folder = image_folder(4, 8, 6, 0)
    names = sorted(path.name for path in folder.iterdir())
    (tmp_path / "captions.json").write_text(json.dumps({name: f"about {name}" for name in reversed(names)}))
    by_name = gm.evaluate(folder, None, ["reader_clip_score_100"], captions=tmp_path / "captions.json")
    in_order = gm.evaluate(folder, None, ["reader_clip_score_100"], captions=[f"about {name}" for name in names])
    assert by_name["reader_clip_score_100"].value == in_order["reader_clip_score_100"].value


def test_captions_are_not_taken_from_the_cache(images, captions, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path))
    first = gm.evaluate(images, None, ["reader_clip_score"], captions=captions)["reader_clip_score"].value
    second = gm.evaluate(images, None, ["reader_clip_score"], captions=captions[::-1])["reader_clip_score"].value
    assert first != second


def test_a_training_loop(images, captions) -> None:
    evaluator = Evaluator(metrics=["reader_clip_score"])
    for part in np.array_split(np.arange(COUNT), 3):
        tensors = torch.from_numpy(images[part]).permute(0, 3, 1, 2)
        evaluator.update(tensors, captions=[captions[k] for k in part])
    expected = gm.evaluate(images, None, ["reader_clip_score"], captions=captions)["reader_clip_score"].value
    assert evaluator.compute()["reader_clip_score"].value == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UsageError, match="came with 1 captions"):
        evaluator.update(tensors, captions=["one"])
    evaluator.reset()
    evaluator.update(tensors)
    with pytest.raises(UsageError, match="image 0 has no caption"):
        evaluator.compute()


@pytest.mark.parametrize("metrics", [["reader_clip_score"], ["reader_clip_score", "reader_clip_score_100"]])
def test_captions_are_kept_until_their_images_are_through(images, captions, metrics) -> None:
    """Of a long loop's captions those of the last batch and of the incomplete one are kept, whoever needs them."""
    evaluator = Evaluator(metrics=metrics, batch_size=4)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    evaluator.update(tensors[:7], captions=captions[:7])
    assert set(evaluator._captions) == {0, 1, 2, 3, 4, 5, 6}
    evaluator.update(tensors[7:10], captions=captions[7:10])
    assert set(evaluator._captions) == {4, 5, 6, 7, 8, 9}
    evaluator.compute()
    evaluator.update(tensors[10:], captions=captions[10:])
    report = evaluator.compute()
    assert not evaluator._captions
    expected = gm.evaluate(images, None, metrics, captions=captions)
    assert {name: result.value for name, result in report.metrics.items()} == pytest.approx(
        {name: result.value for name, result in expected.metrics.items()}, rel=1e-9
    )


def test_captions_that_are_cut_off_are_told(images, captions) -> None:
    report = gm.evaluate(images, None, ["reader_clip_score"], captions=["x" * 200, "y" * 200, *captions[2:]])
    assert report.gen.notes == ("2 captions are longer than their network reads, and were cut off",)


def test_captions_that_nobody_reads(images, captions) -> None:
    with pytest.raises(UsageError, match=r"captions were given, and none of the metrics reads any \(isc\)"):
        gm.evaluate(images, None, ["isc"], captions=captions)


def test_statistics_keep_no_captions(images) -> None:
    with pytest.raises(
        UsageError, match="'reader_clip_score' is of images and their captions, which statistics do not"
    ):
        gm.compute_stats(images, ["reader_clip_score"])


def test_no_captions(images) -> None:
    with pytest.raises(UsageError, match="a CLIP score needs a caption for each image; give them with '--captions"):
        gm.evaluate(images, None, ["reader_clip_score"])
