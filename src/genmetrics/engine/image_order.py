"""Whether images come in the order of their classes, where a metric cuts them into splits as they come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.softmax_sums import IN_ORDER
from genmetrics.metrics.base import Metric
from genmetrics.types import Need

__all__ = ["FALSE_ALARM", "Order", "limit", "order_of", "order_of_labels", "ordered_need", "split_sizes"]

#: How often a random order is taken for another one.
FALSE_ALARM = 1e-6
#: So many nats, a hundredth of the score, are not worth a word.
_LEAST = 0.01
#: No Poisson number has a larger expected deviance; that of 1.34 has 1.1604.
_MOST_DEVIANCE = 1.17


@dataclass(frozen=True)
class Order:
    """How unlike the splits are.

    Attributes:
        divergence: the Jensen-Shannon divergence of their class probabilities, weighted by their sizes, in nats. The
            logarithm of an Inception Score over these splits is lower by it than that over all images as one.
        limit: what a random order exceeds as often as ``FALSE_ALARM``.
    """

    divergence: float
    limit: float

    @property
    def matters(self) -> bool:
        """Whether it is no random order, and a figure shows it."""
        return self.divergence > max(self.limit, _LEAST)


def ordered_need(metric: Metric) -> Need | None:
    """The class sums of a metric whose splits are consecutive runs of images; None of any other metric."""
    for need in metric.needs:
        options = dict(need.options)
        if need.accumulator == "softmax_sums" and ("chunk" in options or options.get("seed") == IN_ORDER):
            return need
    return None


def split_sizes(need: Need, total: int) -> list[int]:
    """How many images each of the consecutive splits has."""
    options = dict(need.options)
    if "chunk" in options:
        chunk = options["chunk"]
        return [min(chunk, total - start) for start in range(0, total, chunk)]
    splits = options["num_splits"]
    return [total * (split + 1) // splits - total * split // splits for split in range(splits)]


def order_of(counts: Float64[Tensor, " splits"], sums: Float64[Tensor, "splits k"]) -> Order:
    """How unlike splits are by the sums of their images' class probabilities.

    Args:
        counts: how many images each split has, (splits,) float64.
        sums: Σp of each split, (splits, k) float64.
    """
    total = counts.sum()
    overall = sums.sum(dim=0) / total
    own = sums / counts[:, None].clamp(min=1)
    entropy = torch.special.entr
    divergence = entropy(overall).sum() - (counts / total) @ entropy(own).sum(dim=1)
    return Order(float(divergence), limit(counts, overall, FALSE_ALARM))


def order_of_labels(labels: Int64[Tensor, " n"], sizes: Sequence[int]) -> tuple[Order, int, int]:
    """How unlike splits are by their images' classes; then the most classes that a split has, and how many there are.

    Args:
        labels: the classes in the images' order.
        sizes: how many images each split has.
    """
    _, classes = torch.unique(labels, return_inverse=True)
    number = int(classes.max()) + 1
    sums = torch.stack([torch.bincount(part, minlength=number) for part in torch.split(classes, list(sizes))])
    order = order_of(torch.tensor(sizes, dtype=torch.float64), sums.to(torch.float64))
    return order, int((sums > 0).sum(dim=1).max()), number


def limit(counts: Float64[Tensor, " splits"], overall: Float64[Tensor, " k"], false_alarm: float) -> float:
    """The divergence that a random order of images exceeds with a probability of at most ``false_alarm``, in nats.

    Of images that are each of one class 2·N·divergence is the likelihood ratio of independence, near χ² with
    (splits−1)·(k−1) degrees of freedom, so that (splits−1)·(k−1)/(2N) is what a random order gives on average. Rare
    classes give less, some more: the degrees are counted from above, cell by cell, as 2λ·log(1+1/λ) of an expected
    number λ, by Jensen's inequality, and no more than a Poisson number's deviance can be expected to be. Uncertain
    probabilities vary less than classes, and give less. The tail is bounded as χ²'s.

    Source: Laurent and Massart 2000 (doi:10.1214/aos/1015957395), lemma 1.
    """
    expected = counts[:, None] * overall
    each = torch.where(expected > 0, 2 * expected * torch.log1p(1 / expected.clamp(min=1e-300)), 0.0)
    degrees = float(each.clamp(max=_MOST_DEVIANCE).sum())
    surprise = -math.log(false_alarm)
    return (degrees + 2 * math.sqrt(degrees * surprise) + 2 * surprise) / (2 * float(counts.sum()))
