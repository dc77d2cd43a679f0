"""Fréchet distance class by class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from jaxtyping import Int64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.classes import KeyOfClass, classes_of_rows, name_of_class, rows_by_class
from genmetrics.metrics.frechet import frechet_distance, moments_of_rows
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["IntraClassFrechet"]

_SHOWN = 10
_NUMBER = re.compile("[0-9]+")


class IntraClassFrechet(Metric):
    """The mean over classes, each of equal weight, of the Fréchet distance of the class's images.

    Classes are matched by name where both sets name them, and by number where neither does. Where one does, its names
    must be numbers themselves, whose values are then those of the other set: folders 0, 1, 10, 2 are numbered in
    sorted order and would otherwise be other classes. Below as many images as dimensions, which is the rule in a
    class, the distance comes from the images themselves and is exact for them.

    Source: Miyato and Koyama 2018 (arXiv:1802.05637), section 4.1.
    Matches: StudioGAN's mean over classes of the FID of each; tests/metrics/test_intra_class.py.
    """

    higher_is_better = False
    unary = False
    needs_labels = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol
        self._column = "fid" if info.id.startswith("intra_fid") else "fd"

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over classes; each class is a row of ``per_class``.

        There, ``mean_term`` is |μ₁ − μ₂|² of the class: the part of its distance that is due to where its centre
        lies. ``extra`` has its mean over classes, and as ``covariance_term`` the rest of the value.

        Raises:
            StatisticsError: if a set has no labels, one set alone names its classes and not by numbers, the sets
                have unlike classes, or a class has fewer than two images in a set.
        """
        assert ref is not None
        banks = [cast(FeatureBank, side.get(self.needs[0])) for side in (gen, ref)]
        labels = [
            _labels_of(side, bank, what)
            for side, bank, what in zip((gen, ref), banks, ("generated", "reference"), strict=True)
        ]
        of_gen, of_ref = map(rows_by_class, labels, _class_keys(gen.class_names, ref.class_names))
        _check_classes(of_gen, of_ref)
        distances, shifts = [], []
        for name, rows in of_gen.items():
            moments = [
                moments_of_rows(bank.in_panels(), at) for bank, at in zip(banks, (rows, of_ref[name]), strict=True)
            ]
            distances.append(frechet_distance(moments[0], moments[1], self.device))
            shifts.append(float((moments[0].mean() - moments[1].mean()).square().sum()))
        table: dict[str, Sequence[float | int | str]] = {
            "class": list(of_gen),
            self._column: distances,
            "num_gen": [len(rows) for rows in of_gen.values()],
            "num_ref": [len(of_ref[name]) for name in of_gen],
            "mean_term": shifts,
        }
        value, mean_term = (sum(column) / len(of_gen) for column in (distances, shifts))
        extra = {"mean_term": mean_term, "covariance_term": value - mean_term, "num_classes": len(of_gen)}
        warnings = _few_in_classes(of_gen, of_ref, banks[0].width)
        return MetricResult(self.id, value, extra, self.protocol, warnings, per_class=table)


def _labels_of(side: SetStatistics, bank: FeatureBank, what: str) -> Int64[Tensor, " n"]:
    """The class of each row of the bank."""
    if side.labels is None:
        raise StatisticsError(
            f"the {what} set has no classes, and a distance per class needs them on both sides; give them with "
            "--labels (Python: labels=...): folders, an array in the npz, or a JSON or CSV file"
        )
    return classes_of_rows(side.labels, bank, what)


def _class_keys(gen: tuple[str, ...], ref: tuple[str, ...]) -> tuple[KeyOfClass, KeyOfClass]:
    """From a class's number in either set to what it is matched by."""
    if gen and ref:
        return partial(name_of_class, gen), partial(name_of_class, ref)
    names = gen or ref
    if not names:
        return int, int
    values = [int(name) for name in names if _NUMBER.fullmatch(name)]
    # "1" and "01" are two classes of one value.
    if len(values) < len(names) or len(set(values)) < len(set(names)):
        named, other = ("generated", "reference") if gen else ("reference", "generated")
        raise StatisticsError(
            f"the {named} set names its classes ({_listed(names)}) and the {other} set only numbers them, so that "
            "which is which cannot be told. Give names on both sides (--labels folders, or a .csv or .json file of "
            "image names and class names; Python: labels=...), or the same numbers on both (--labels NUMBERS.npy)"
        )

    def value(number: int) -> int:
        return values[number] if number < len(values) else number

    return (value, int) if gen else (int, value)


def _check_classes(gen: Mapping[str | int, Tensor], ref: Mapping[str | int, Tensor]) -> None:
    for what, side, other in (("generated", gen, ref), ("reference", ref, gen)):
        missing = [name for name in other if name not in side]
        if missing:
            raise StatisticsError(
                f"the {what} set has no image of {len(missing)} class(es) that the other set has: {_listed(missing)}. "
                "A mean over other classes would be another number; add images, or leave those classes out of both"
            )
        few = [name for name, rows in side.items() if len(rows) < 2]
        if few:
            raise StatisticsError(
                f"the {what} set has one image only of {len(few)} class(es): {_listed(few)}. A distance needs at least "
                "2 of each class on each side, and hundreds for a number worth reporting"
            )


def _few_in_classes(gen: Mapping[str | int, Tensor], ref: Mapping[str | int, Tensor], width: int) -> tuple[str, ...]:
    few = [name for name, rows in gen.items() if min(len(rows), len(ref[name])) <= width]
    if not few:
        return ()
    least = min(min(len(rows), len(ref[name])) for name, rows in gen.items())
    return (
        f"{len(few)} of {len(gen)} classes have no more images than feature dimensions ({width}; the fewest: {least}): "
        "the value is exact for these images but lies far above what many images would give; compare it only with "
        "values of exactly as many images of each class",
    )


def _listed(names: Sequence[str | int]) -> str:
    return ", ".join(repr(name) for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
