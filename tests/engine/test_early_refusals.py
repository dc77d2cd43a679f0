"""What can be told from the numbers of images and their classes is told before the network runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.errors import StatisticsError
from support.blocks import NET, Blocks, registered_blocks


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(autouse=True)
def _network_must_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(Blocks, "forward", forward)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "num_gen", "num_ref", "message"),
    [
        ("fid_inf", 60, 60, "fits a line to sets of 5000 images and more, and the generated set has 60"),
        ("isc_inf", 60, 60, "fits a line to sets of 5000"),
        ("prdc", 60, 4, "needs at least 6 images in the reference set, and there are 4"),
        ("prc", 3, 60, "needs at least 4 images in the generated set, and there are 3"),
        ("intra_fid", 60, 60, "is of single classes, and the images of .* have none; say where they come from"),
    ],
)
def test_sets_that_will_not_do(name: str, num_gen: int, num_ref: int, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        gm.evaluate(images(num_gen), images(num_ref), [name], extractor=NET)


def test_statistics_without_classes_are_not_made_for_a_metric_of_classes() -> None:
    with pytest.raises(StatisticsError, match="is of single classes"):
        gm.compute_stats(images(10), ["intra_fid"], extractor=NET)


def test_given_statistics_without_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stats = gm.compute_stats(images(20), ["nearest"], extractor=NET)
    with pytest.raises(StatisticsError, match=r"was made of images without any; build it again with '--labels'"):
        gm.evaluate(images(20), stats, ["intra_fid"], extractor=NET)
