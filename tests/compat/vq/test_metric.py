"""``FIDMetric``: against todd's features, in every way to feed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compat.vq.conftest import Network, exact_fid, vq_image
from genmetrics.compat.vq.pixels import decode, encode
from genmetrics.compat.vq.runners.metrics import FIDMetric
from genmetrics.errors import SourceError, StatisticsError, UsageError


@pytest.fixture(scope="module")
def images(vq_home: Path) -> torch.Tensor:
    return torch.stack([vq_image(path) for path in sorted((vq_home / "samples").glob("*.png"))])


@pytest.fixture(scope="module")
def make(vq_home: Path, real_rows: Path) -> Callable[..., FIDMetric]:
    def make(**given: Any) -> FIDMetric:
        weights = vq_home / "pretrained/pytorch-fid/pt_inception.pth"
        return FIDMetric(**{"reference": real_rows, "device": "cpu", "weights": weights, **given})

    return make


class TestNumbers:
    def test_images_of_a_loop(
        self,
        make: Callable[..., FIDMetric],
        images: torch.Tensor,
        todd_network: Network,
        todd_features: dict[str, np.ndarray],
    ) -> None:
        """Floats of -1..1 become 8 bits as vq makes them; a number a validation, and nothing is left over of one."""
        metric = make(pred="['out']['pred_image']", eps=1e-6)
        floats = torch.tanh(2 * encode(images))
        exact = exact_fid(todd_features["real"], todd_network(decode(floats)))
        rounded = exact_fid(todd_features["real"], todd_network(((floats + 1) * 127.5).round()))
        memo: dict[str, Any] = {}
        for part in (floats[:1], floats[1:]):
            memo = metric({"image": None}, {"out": {"pred_image": part}})
        assert set(memo) == {"out"}
        found = metric.summary(memo)
        assert found == pytest.approx(exact, rel=1e-5)
        assert abs(found - rounded) > 1e-4 * exact  # the negative control
        metric.reset()
        metric.forward({}, {"out": {"pred_image": images}})
        assert metric.compute() == pytest.approx(exact_fid(todd_features["real"], todd_features["gen"]), rel=1e-5)

    def test_what_a_sampler_repeats_is_left_out(self, make: Callable[..., FIDMetric], images: torch.Tensor) -> None:
        metric = make(num_samples=4)
        metric.update(images, [0, 1, 2, 3])
        metric.update(images[:1], [0])
        with pytest.raises(UsageError, match="every update"):
            metric.update(images[:1])
        assert metric.compute() > 0


class TestReference:
    def test_by_its_name(self, cached: Path) -> None:
        assert FIDMetric(reference="real", device="cpu")._steps == ()
        with pytest.raises(SourceError, match=r"no statistics 'imagenet_val': .* known: real in 'pretrained/fid'"):
            FIDMetric(device="cpu")

    def test_one_of_another_network(self, make: Callable[..., FIDMetric], tmp_path: Path) -> None:
        np.savez(tmp_path / "y.npz", mu=np.zeros(64), sigma=np.eye(64))
        with pytest.raises(StatisticsError, match="holds mean and covariance of 64 dimensions"):
            make(reference=tmp_path / "y.npz")


@pytest.fixture(scope="module")
def metric(make: Callable[..., FIDMetric]) -> FIDMetric:
    return make(pred=".out.pred")


class TestErrors:
    @pytest.mark.parametrize("pred", ["", "a b", "x['", "f(1)"])
    def test_no_key(self, pred: str, make: Callable[..., FIDMetric]) -> None:
        with pytest.raises(UsageError, match="pred"):
            make(pred=pred)

    @pytest.mark.parametrize(
        ("memo", "text"),
        [
            ({}, r"pred \['out'\]\['pred'\]: no 'out' in "),
            ({"out": {"other": 1}}, r"no 'pred' in 'other'"),
            ({"out": 3}, r"no 'pred' in int"),
            ({"out": {"pred": [1]}}, "pred 'pred' is a list, expected a tensor of images"),
            (
                {"out": {"pred": torch.zeros((1, 3, 8, 8), dtype=torch.int64)}},
                "pred 'pred' holds torch.int64, expected floats of",
            ),
            ({"out": {"pred": torch.full((1, 3, 8, 8), float("nan"))}}, "the images to decode hold NaN"),
        ],
    )
    def test_no_images(self, memo: dict[str, Any], text: str, metric: FIDMetric) -> None:
        with pytest.raises(UsageError, match=text):
            metric({}, memo)

    def test_others(self, metric: FIDMetric, make: Callable[..., FIDMetric]) -> None:
        metric.reset()
        with pytest.raises(StatisticsError, match="no images were fed"):
            metric.summary()
        with pytest.raises(UsageError, match=r"eps -1\.0: expected 0 or more"):
            make(eps=-1.0)
        with pytest.raises(UsageError, match="was made without pred="):
            make().forward({}, {})
