"""Which generated images raise a Fréchet distance, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.linalg import transport_factor
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.classes import classes_of_rows, name_of_class, rows_by_class
from genmetrics.metrics.frechet import IMAGES_PER_DIMENSION, few_samples, frechet_distance
from genmetrics.types import MetricInfo, MetricResult, Need, Table

__all__ = ["FrechetInfluence", "influence_by_class", "influence_function"]

_CPU = torch.device("cpu")


def influence_function(
    bank: FeatureBank, gen: Moments, ref: Moments, device: torch.device = _CPU
) -> Float64[Tensor, " n"]:
    """The derivative of the Fréchet distance in the weight of each generated sample, against a fixed reference.

    With d = x − μ_g and T the optimal map from the generated Gaussian to the reference's it is

        IF(x) = 2 (μ_g − μ_r)·d + N/(N − 1) dᵀ(I − T)d − tr((I − T) Σ_g),

    in which N/(N − 1) belongs to covariances with ddof 1; it makes the mean over the samples zero. It holds for any
    number of samples: none of them leaves the space that they span together, and there T exists.

    Args:
        bank: the generated features.
        gen: their moments.
        ref: moments of the reference features, of the same width.
        device: where to compute, with float64.

    Returns:
        (n,) float64 in squared feature units, by ascending index, whose sum is zero up to rounding.

    Source: Hampel 1974 for influence functions; Bhatia, Jain and Lim 2019 (arXiv:1712.01504) for the gradient.
    Matches: distances computed again at other weights of the samples; tests/metrics/test_influence.py.
    """
    mean = gen.mean().to(device)
    shift = 2 * (mean - ref.mean().to(device))
    transport = transport_factor(gen.factor().to(device), ref.factor().to(device)).T
    weight = bank.num_samples / (bank.num_samples - 1)

    def of_rows(rows: Tensor) -> Tensor:
        apart = rows.to(device, torch.float64) - mean
        return apart @ shift + weight * (apart.square().sum(dim=1) - (apart @ transport).square().sum(dim=1))

    found = bank.in_panels().of_each(of_rows, torch.zeros(0, dtype=torch.float64))
    return found - found.mean()


class FrechetInfluence(Metric):
    """The Fréchet distance, and the part of it that is due to each generated image.

    ``influence`` of an image is IF/(N − 1), in units of the distance: to first order the distance falls by this much
    when the image is left out. Positive ones raise the distance. Their sum over all images is zero; with a small part
    t of the images of a class left out, the distance falls by about t times the sum over the class.

    Source: see ``influence_function``.
    Matches: distances without single images, with an error that falls as 1/N; tests/metrics/test_influence.py.
    """

    higher_is_better = False
    unary = False
    has_per_image = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        features = Need(info.extractor, info.preprocess, info.feature, "feature_bank")
        self.needs = (features, replace(features, accumulator="moments"))
        self.protocol = info.protocol

    @property
    def ref_needs(self) -> tuple[Need, ...]:
        """Of the reference mean and covariance are enough."""
        return self.needs[1:]

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The distance; ``se`` is the standard error of it that is due to the generated images.

        With fewer than 5 images per dimension there is no ``se``, and a warning says what the influences then mean.

        Raises:
            StatisticsError: if a side has fewer than two images, or the classes are of other images.
        """
        assert ref is not None
        bank = cast(FeatureBank, gen.get(self.needs[0]))
        moments = [cast(Moments, side.get(self.needs[1])) for side in (gen, ref)]
        value = frechet_distance(moments[0], moments[1], self.device)
        derivative = influence_function(bank, moments[0], moments[1], self.device)
        influence = derivative / (bank.num_samples - 1)
        extra: dict[str, float | int] = {}
        warnings = few_samples(moments[0], moments[1])
        least = IMAGES_PER_DIMENSION * bank.width
        if bank.num_samples < least:
            warnings += (
                f"influences are of the first order, and there are {bank.num_samples} generated images, fewer than "
                f"{IMAGES_PER_DIMENSION} per dimension ({least:,}): leaving an image out changes the distance by "
                "another amount, so take the images' order from them and not the size; there is no standard error",
            )
        else:
            extra["se"] = float(derivative.std()) / bank.num_samples**0.5
        table: Table = {"index": bank.indices().tolist(), "influence": influence.tolist()}
        classes = None if gen.labels is None else influence_by_class(gen, bank, influence)
        return MetricResult(self.id, value, extra, self.protocol, warnings, per_class=classes, per_image=table)


def influence_by_class(gen: SetStatistics, bank: FeatureBank, influence: Float64[Tensor, " n"]) -> Table:
    """The influences of each class's images, added up and on average.

    Args:
        gen: the generated set, whose images have classes.
        bank: its features.
        influence: of each image, by ascending index.

    Raises:
        StatisticsError: if the classes are of other images.
    """
    assert gen.labels is not None
    key_of = partial(name_of_class, gen.class_names) if gen.class_names else int
    rows = rows_by_class(classes_of_rows(gen.labels, bank, "generated"), key_of)
    sums = [float(influence[of_class].sum()) for of_class in rows.values()]
    counts = [len(of_class) for of_class in rows.values()]
    table: dict[str, Sequence[float | int | str]] = {
        "class": list(rows),
        "num_gen": counts,
        "influence": sums,
        "mean_influence": [total / count for total, count in zip(sums, counts, strict=True)],
    }
    return table
