"""What nearest-neighbour metrics can ask of two feature sets, and what they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float64, Int64
from torch import Tensor

__all__ = [
    "Answers",
    "Balls",
    "Counts",
    "NearestOther",
    "Neighbours",
    "OwnBalls",
    "Question",
    "Realism",
    "SideName",
]

SideName = Literal["gen", "ref"]


@dataclass(frozen=True)
class Neighbours:
    """The ``k`` nearest other samples of each sample within its own set."""

    side: SideName
    k: int


@dataclass(frozen=True)
class Balls:
    """Which samples of the other set lie in the balls about a set's samples that reach to their k-th neighbours.

    Attributes:
        side: whose balls.
        k: which neighbour they reach to.
        inclusive: whether a sample at exactly the radius is inside.
        clipped: whether no radius is larger than the median radius.
    """

    side: SideName
    k: int
    inclusive: bool
    clipped: bool = False


@dataclass(frozen=True)
class OwnBalls:
    """In how many clipped balls about other samples of its own set each reference sample is, surfaces included."""

    k: int


@dataclass(frozen=True)
class NearestOther:
    """The nearest sample of the other set, of each sample of ``side``; ``cosine`` is 1 − cos, or 1 − |cos|."""

    side: SideName
    measure: Literal["euclidean", "cosine", "absolute cosine"] = "euclidean"


@dataclass(frozen=True)
class Realism:
    """The largest ratio of radius to distance over the reference balls smaller than the median, for each sample."""

    k: int


Question = Neighbours | Balls | OwnBalls | NearestOther | Realism


@dataclass(frozen=True)
class Counts:
    """What ``Balls`` asks.

    Attributes:
        around: of each sample of the other set, how many balls it is in.
        inside: of each ball, how many samples of the other set are in it.
    """

    around: Int64[Tensor, " others"]
    inside: Int64[Tensor, " balls"]


@dataclass(frozen=True)
class Answers:
    """The answer to each question, on the CPU; distances in feature units."""

    neighbours: dict[Neighbours, tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]]
    balls: dict[Balls, Counts]
    own_balls: dict[OwnBalls, Int64[Tensor, " n"]]
    nearest: dict[NearestOther, tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]]
    realism: dict[Realism, Float64[Tensor, " n"]]
