"""What a page shows of a run beyond its figures, computed from the statistics that the run has made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.engine.galleries import Picks, pick_by_distance, pick_by_influence, with_pictures
from genmetrics.engine.options import Options
from genmetrics.engine.prepare import PreparedSide
from genmetrics.engine.subject import Subject, metric_keeping
from genmetrics.errors import StatisticsError
from genmetrics.metrics.distance_curve import distance_curve
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.metrics.influence import influence_by_class, influence_function
from genmetrics.metrics.principal import Principal, eigenvalues, log_spaced_ranks, principal, projected
from genmetrics.report.diagnostics import Cloud, Curve, Diagnostics, Projection, Section, Spectra
from genmetrics.report.report import Report
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, Protocol, Stage, Table

__all__ = ["with_diagnostics"]

Found = TypeVar("Found")

#: Points of each set on the map.
_MOST_POINTS = 1000
#: Of so many images at least there is a spread.
_LEAST = 2
_SIDES: Mapping[Stage, str] = {"gen": "generated set", "ref": "reference"}
_OF_PAIRS: tuple[Section, ...] = ("unrealistic", "uncovered", "copied")
#: Why a gallery can be empty.
_NOTHING: Mapping[Section, str] = {
    "raises": "no generated image raises the distance more than any other: their features are all alike",
    "unrealistic": "all reference images are equally far from their neighbours, so that there is nothing to judge by; "
    "add reference images",
    "uncovered": "every reference image has several copies in the reference, so that it has no neighbours to judge by",
    "copied": "every generated image is nearest to a reference image that has only copies near it",
}


def with_diagnostics(
    report: Report,
    subject: Subject,
    sides: Mapping[Stage, tuple[PreparedSide, Stats]],
    options: Options,
    device: torch.device,
    started: float,
) -> Report:
    """The report with what can be shown beyond its figures, the same on all processes, which all take part.

    Args:
        report: the figures of the run, of which none is computed again.
        subject: the features that the diagnostics are of.
        sides: both sets, and where their images come from.
        options: of the run.
        device: where its networks ran.
        started: when it began, as ``time.perf_counter`` tells it.
    """
    began = time.perf_counter()
    moments = {side: cast(Moments, stats.get(subject.moments)) for side, (_, stats) in sides.items()}
    few = [f"{held.num_samples} in the {_SIDES[side]}" for side, held in moments.items() if held.num_samples < _LEAST]
    if few:
        note = f"there are no diagnostics: they take at least {_LEAST} images a side, and there is {' and '.join(few)}"
        return replace(report, notes=(*report.notes, note))
    stats = {side: held for side, (_, held) in sides.items()}
    on = device if device.type == "cuda" else torch.device("cpu")  # Metal has no float64
    work = _Work(subject, stats, moments, report.metrics, options.seed, on)
    found = work.all_but_galleries()
    galleries = work.galleries()
    # Two processors make figures that differ in the last bits, and only one of them is to read the images.
    if distributed.current_shard().index == 0:
        shown = with_pictures(galleries, sides)
        found = replace(
            found,
            raises=shown.get("raises"),
            unrealistic=shown.get("unrealistic"),
            uncovered=shown.get("uncovered"),
            copied=shown.get("copied"),
        )
    found = distributed.from_first_rank(found)
    now = time.perf_counter()
    seconds = {**report.seconds, "diagnostics": now - began, "total": now - started}
    return replace(report, diagnostics=found, notes=(*report.notes, *work.notes), seconds=seconds)


@dataclass
class _Work:
    """The sections one after the other, and why some are missing.

    Attributes:
        subject: the features that all of it is of.
        stats: of both sides.
        moments: of these features.
        results: the figures of the run.
        seed: of every random choice.
        device: where to compute.
        absent: why sections are missing.
        notes: on what is there.
    """

    subject: Subject
    stats: Mapping[Stage, Stats]
    moments: Mapping[Stage, Moments]
    results: Mapping[str, MetricResult]
    seed: int
    device: torch.device
    absent: dict[Section, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._banks = {side: self._bank(stats) for side, stats in self.stats.items()}
        self._influence = self._influences()

    def all_but_galleries(self) -> Diagnostics:
        """What is of the sets as a whole."""
        known = self.results[self.subject.metric.id].protocol
        need = self.subject.moments
        features = Protocol(need.extractor, need.feature, need.preprocess, "", known.precision, known.forced)
        curve = self._or_absent("curve", self._curve())
        spectra, of_ref = self._spectra()
        return Diagnostics(
            self.subject.distance,
            str(features),
            curve,
            spectra,
            self._or_absent("projection", self._projection(of_ref)),
            self._or_absent("classes", self._classes()),
            absent=self.absent,
        )

    def galleries(self) -> dict[Section, Picks]:
        """The single images that stand out."""
        gen, ref = self._banks["gen"], self._banks["ref"]
        if gen is None or self._influence is None:
            self.absent |= dict.fromkeys(("raises", *_OF_PAIRS), self._no_features("gen"))
            return {}
        picked: dict[Section, Picks] = {"raises": pick_by_influence(gen, self._influence)}
        if ref is None:
            self.absent |= dict.fromkeys(_OF_PAIRS, self._no_features("ref"))
        else:
            search = self.subject.neighbours
            answers = None if search is None else search.answers
            found, self.notes = pick_by_distance(gen, ref, self._influence, self.seed, self.device, answers)
            picked |= found
        self.absent |= {section: _NOTHING[section] for section, gallery in picked.items() if not gallery.picks}
        return picked

    def _or_absent(self, section: Section, found: Found | str) -> Found | None:
        """A section, or in place of why there is none nothing."""
        if isinstance(found, str):
            self.absent[section] = found
            return None
        return found

    def _curve(self) -> Curve | str:
        """The distance against the number of generated images."""
        stats = self.stats["gen"]
        if not stats.meets(self.subject.blocks):
            return self._no_features("gen")
        blocks = cast(BlockMoments, stats.get(self.subject.blocks))
        known = next((self.results[name] for name in self.subject.same), None)
        value = (
            frechet_distance(self.moments["gen"], self.moments["ref"], self.device) if known is None else known.value
        )
        replicates = () if known is None else known.replicates.get("gen", ())
        found = distance_curve(blocks, self.moments["ref"], value, replicates, self.device)
        if len(found.sizes) < _LEAST:
            return f"of {blocks.num_samples} generated images there are no parts that have a covariance; add images"
        curve = Curve(found.sizes, found.values, found.low, found.high)
        if (limit := found.limit) is None:
            return curve
        return replace(curve, limit=limit.debiased, slope=found.slope, limit_low=limit.low, limit_high=limit.high)

    def _spectra(self) -> tuple[Spectra, Principal]:
        """The eigenvalues of both covariances, and the axes of the reference."""
        of_gen, of_ref = eigenvalues(self.moments["gen"], self.device), principal(self.moments["ref"], self.device)
        ranks = log_spaced_ranks(max(len(of_gen), len(of_ref.variances)))
        gen, ref = (
            tuple(float(values[rank - 1]) if rank <= len(values) else 0.0 for rank in ranks)
            for values in (of_gen, of_ref.variances)
        )
        return Spectra(ranks, gen, ref), of_ref

    def _projection(self, of_ref: Principal) -> Projection | str:
        """Both sets along the reference's leading axes."""
        if of_ref.axes is None:
            return "the reference images spread along fewer than two axes; add reference images"
        first, second = (of_ref.variances[:2] / of_ref.variances.sum()).tolist()
        return Projection(self._cloud("gen", of_ref.axes), self._cloud("ref", of_ref.axes), (first, second))

    def _cloud(self, side: Stage, axes: Float64[Tensor, "2 d"]) -> Cloud:
        bank = self._banks[side]
        rows = None if bank is None else bank.in_panels()
        origin = self.moments["ref"].mean().cpu()
        found = projected(self.moments[side], rows, axes, origin, _MOST_POINTS, self.seed)
        (xx, xy), (_, yy) = found.covariance.tolist()
        x, y = found.centre.tolist()
        points = tuple((_short(along), _short(across)) for along, across in found.points.tolist())
        return Cloud(points, (x, y), (xx, xy, yy))

    def _classes(self) -> Table | str:
        """The influence of each class's images."""
        stats, bank = self.stats["gen"], self._banks["gen"]
        if bank is None or self._influence is None:
            return self._no_features("gen")
        if stats.labels is None:
            return (
                "the generated images have no classes, or not all of them have one; say where they come from with "
                "'--labels', such as --labels gen=folders (Python: labels={'gen': 'folders'})"
            )
        try:
            return influence_by_class(stats, bank, self._influence)
        except StatisticsError as error:
            return str(error)

    def _influences(self) -> Float64[Tensor, " n"] | None:
        """By how much each generated image raises the distance, of a metric of the run if one tells it."""
        bank = self._banks["gen"]
        if bank is None:
            return None
        for name in self.subject.same:
            if (table := self.results[name].per_image) is not None:
                return torch.tensor(table["influence"], dtype=torch.float64)
        derivative = influence_function(bank, self.moments["gen"], self.moments["ref"], self.device)
        return derivative.cpu() / (bank.num_samples - 1)

    def _bank(self, stats: Stats) -> FeatureBank | None:
        return cast(FeatureBank, stats.get(self.subject.bank)) if stats.meets(self.subject.bank) else None

    def _no_features(self, side: Stage) -> str:
        """Why there is nothing of single images of a side, and what to do."""
        return (
            f"of the {_SIDES[side]} '{self.stats[side].name}' there is a mean and covariance, and no features of "
            "single images; give its images, or statistics that keep features: `genmetrics stats build SRC -o FILE "
            f"-m {metric_keeping(self.subject.moments)}`"
        )


def _short(value: float) -> float:
    """A coordinate in as many digits as can be seen."""
    return float(f"{value:.7g}")
