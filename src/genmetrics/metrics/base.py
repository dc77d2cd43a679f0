"""The contract of a metric: a pure function of one or two sets' statistics."""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

import torch

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.labels import Labels
from genmetrics.errors import StatisticsError
from genmetrics.types import MetricResult, Need, Protocol

__all__ = ["Metric", "SetStatistics", "require_samples", "require_subsets"]


@typing.runtime_checkable
class SetStatistics(typing.Protocol):
    """What a metric sees of an image set."""

    @property
    def num_samples(self) -> int | None:
        """How many images the set has; None if a file of another tool does not say."""

    @property
    def labels(self) -> Labels | None:
        """The classes of the images; None if not every image has one."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes 0, 1, … where they have any."""

    def get(self, need: Need) -> Accumulator:
        """The accumulator that meets a need."""

    def meets(self, need: Need) -> bool:
        """Whether there is one."""


class Metric(ABC):
    """A number about one generated set, alone or against a reference.

    Attributes:
        id: the name in reports.
        needs: what it reads from the generated set.
        higher_is_better: whether a larger number is a better model.
        unary: whether it needs no reference.
        protocol: what the number stands for.
        has_per_image: whether results have figures of single images.
        device: where large work may be done; the engine sets it, and none of it changes a number beyond rounding.
        needs_labels: whether the images' classes are needed too.
    """

    id: str
    needs: tuple[Need, ...]
    higher_is_better: bool
    unary: bool
    protocol: Protocol
    has_per_image: bool = False
    device: torch.device = torch.device("cpu")
    needs_labels: bool = False

    def check_sizes(self, num_gen: int | None, num_ref: int | None) -> None:
        """Refuse sets that are known to be too small, before they are read; nothing unless overridden.

        Args:
            num_gen: how many generated images there are; None if that is not known.
            num_ref: how many reference images.

        Raises:
            StatisticsError: if one has too few.
        """
        return

    @property
    def ref_needs(self) -> tuple[Need, ...]:
        """What it reads from the reference set; the same as from the generated one unless overridden."""
        return () if self.unary else self.needs

    @property
    def error_needs(self) -> tuple[Need, ...]:
        """What its error bars take of either side, where it is to be had, beyond what ``compute`` reads."""
        return ()

    def error_cost(self, gen: SetStatistics, ref: SetStatistics | None) -> float:
        """How many times the work of ``compute`` the error bars are; 0 where ``compute`` gives them by the way."""
        return 0.0

    def with_error(self, result: MetricResult, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The result with its error bars: ``se``, ``ci95_low`` and ``ci95_high``, and ``debiased`` if it has a bias.

        Called only if the generated side meets ``error_needs``. Where an error bar would not hold, a warning says so.
        Error bars that ``compute`` gives by the way are in its result already; the engine takes them out of it again
        where none are wanted.

        Args:
            result: what ``compute`` gave.
            gen: statistics of the generated set.
            ref: statistics of the reference set.
        """
        return result

    @property
    def work(self) -> Hashable | None:
        """What a metric has in common with others that are better computed in one go; None if nothing.

        Metrics of one run with equal ``work`` are given together to ``compute_together`` of one of them.
        """
        return None

    def compute_together(
        self, metrics: Sequence[Metric], gen: SetStatistics, ref: SetStatistics | None
    ) -> list[MetricResult]:
        """The results of several metrics of equal ``work``, in their order; see ``compute``."""
        return [metric.compute(gen, ref) for metric in metrics]

    @abstractmethod
    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The metric's figures.

        Args:
            gen: statistics of the generated set.
            ref: statistics of the reference set; None only if the metric is unary.

        Raises:
            StatisticsError: if the statistics do not allow the number, such as too few samples.
        """


def require_samples(name: str, least: int, num_gen: int, num_ref: int | None = None) -> None:
    """Refuse sets that are too small.

    Args:
        name: the metric's id.
        least: how many images each set must have.
        num_gen: how many the generated set has.
        num_ref: how many the reference set has; None for a metric of one set.

    Raises:
        StatisticsError: if one has fewer.
    """
    if min(num_gen, num_gen if num_ref is None else num_ref) >= least:
        return
    if num_ref is None:
        raise StatisticsError(f"{name!r} needs at least {least} images; given are {num_gen}. Add images")
    raise StatisticsError(
        f"{name!r} needs at least {least} images on each side; given are {num_gen} generated and {num_ref} reference "
        "images. Add images"
    )


def require_subsets(name: str, size: int, num_gen: int | None, num_ref: int | None) -> None:
    """Refuse sets from which no subset of a size can be drawn without replacement.

    Args:
        name: the metric's id.
        size: samples of a subset.
        num_gen: how many images the generated set has; None if that is not known yet.
        num_ref: how many the reference set has; None likewise.

    Raises:
        StatisticsError: if one has fewer.
    """
    known = {"generated": num_gen, "reference": num_ref}
    for side, count in known.items():
        if count is not None and count < size:
            raise StatisticsError(
                f"metric {name!r}: subsets of {size} samples cannot be drawn from {count} {side} images; ask for "
                "smaller subsets, or add images"
            )
