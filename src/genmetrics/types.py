"""Plain values that travel between the layers. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = [
    "UNKNOWN",
    "AlphaPolicy",
    "BackendChoice",
    "BadImagePolicy",
    "DecodePolicy",
    "Engine",
    "ErrorBars",
    "ExtractorInfo",
    "ExtractorRecord",
    "Fingerprint",
    "MetricInfo",
    "MetricResult",
    "MetricsLike",
    "Need",
    "Origin",
    "Part",
    "Precision",
    "Progress",
    "Protocol",
    "Selection",
    "Shard",
    "SideRecord",
    "Sizes",
    "SkippedImage",
    "Stage",
    "Table",
    "joined_backends",
    "same_features",
]

#: Stands where a file of another tool does not say what its statistics are of.
UNKNOWN = "unknown"

Precision = Literal["exact", "tf32", "bf16"]
BackendChoice = Literal["auto", "openvino", "torch", "reference"]
AlphaPolicy = Literal["drop", "white", "black"]
BadImagePolicy = Literal["error", "skip"]
DecodePolicy = Literal["pillow", "gpu"]
Engine = Literal["local", "ray"]
ErrorBars = Literal["auto", "on", "off"]
Stage = Literal["gen", "ref"]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` equal shares of an image set.

    Shares are contiguous ranges of indices, as even as they can be: no index is in two shares and none is
    left out, also where there are more shares than images.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index}/{self.count}: expected 0 <= index < count")

    def range(self, total: int) -> range:
        """The indices of this share of ``total`` images."""
        return range(total * self.index // self.count, total * (self.index + 1) // self.count)


@dataclass(frozen=True)
class Fingerprint:
    """What an image source is, cheaply and honestly.

    Attributes:
        kind: the source kind, such as ``folder`` or ``npz``.
        description: what a person reads, such as the path.
        digest: hexadecimal; changes whenever the content may have changed (names, sizes and times of
            change of files, checksums of archive members, the bytes of arrays). None where this cannot be told without
            reading it all, as of a Python generator; such a set is never cached.
    """

    kind: str
    description: str
    digest: str | None


@dataclass(frozen=True)
class Selection:
    """A subset of a source's images.

    Attributes:
        num: how many images.
        of: out of how many.
        seed: of the draw; None if the first ``num`` were taken.
    """

    num: int
    of: int | None
    seed: int | None


@dataclass(frozen=True)
class Part:
    """One source among those whose statistics were merged, and which of its images are in them.

    The indices of its samples are ``span`` consecutive numbers; those of the next part follow.

    Attributes:
        source: its description.
        kind: its kind.
        identity: of its source and selection; equal for the shards of one set.
        span: how many images it has in all its shards.
        covered: the ranges ``(start, stop)`` of its images that are in the statistics, ascending.
        listing: of a whole set, which is known by its content: what its shards would be known by; empty where
            that is not known.
    """

    source: str
    kind: str
    identity: str
    span: int
    covered: tuple[tuple[int, int], ...]
    listing: str = ""

    @property
    def complete(self) -> bool:
        """Whether every image is in the statistics."""
        return self.covered == ((0, self.span),)

    @property
    def num_covered(self) -> int:
        """How many of the images are in the statistics."""
        return sum(stop - start for start, stop in self.covered)


@dataclass(frozen=True)
class SkippedImage:
    """An image that could not be read and was left out on request."""

    name: str
    reason: str


class Origin(NamedTuple):
    """What an image was when it was decoded, before any crop.

    Attributes:
        format: of the encoded image, as Pillow names it (``JPEG``, ``PNG``); empty for an array, which has none.
        width: in pixels.
        height: in pixels.
    """

    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Sizes:
    """How large the images of a set are as decoded.

    Attributes:
        bins: the quarters of an octave that have any, ascending, each with how many images and how many pixels in all:
            quarter b is of those whose side, the root of width times height, is in [2^(b/4), 2^((b+1)/4)).
        smallest: (width, height) of the image with the fewest pixels, the narrower one of two.
        largest: of that with the most, the wider one of two.
    """

    bins: tuple[tuple[int, int, int], ...]
    smallest: tuple[int, int]
    largest: tuple[int, int]


@dataclass(frozen=True)
class Need:
    """One accumulator that a metric needs, filled from one feature of one extractor.

    Equal needs of several metrics are met by one accumulator.

    Attributes:
        extractor: the extractor's id, ``architecture.tag``; ``UNKNOWN``, like the next two, in statistics of
            a file that does not say it.
        preprocess: the id of the preprocessing before it.
        feature: the name of the extractor's output.
        accumulator: the accumulator's kind, such as ``moments``.
        options: settings that change what the accumulator holds, such as the number of splits.
    """

    extractor: str
    preprocess: str
    feature: str
    accumulator: str
    options: tuple[tuple[str, int], ...] = ()


def same_features(one: Need, other: Need) -> bool:
    """Whether two needs are of the same feature of the same network behind the same preprocessing."""
    return (one.extractor, one.preprocess, one.feature) == (other.extractor, other.preprocess, other.feature)


@dataclass(frozen=True)
class Protocol:
    """Everything that a metric id stands for; two numbers compare exactly when their protocols are equal.

    Attributes:
        extractor: the extractor's id.
        feature: the name of the extractor's output.
        preprocess: the id of the preprocessing.
        estimator: the estimator and its constants where the metric's name leaves them open; empty for the
            Fréchet distance of sample moments.
        precision: the precision of the network; ``exact`` is float32 without TF32.
        forced: whether the two sides were not comparable; such a protocol equals no other.
    """

    extractor: str
    feature: str
    preprocess: str
    estimator: str = ""
    precision: Precision = "exact"
    forced: bool = False

    def __str__(self) -> str:
        parts = [self.extractor, self.feature, self.preprocess]
        if self.estimator:
            parts.append(self.estimator)
        if self.precision != "exact":
            parts.append(self.precision)
        if self.forced:
            parts.append("forced")
        return "/".join(parts)


#: Columns of equal length, by name.
Table = Mapping[str, Sequence[float | int | str]]


@dataclass(frozen=True)
class MetricResult:
    """One metric's figures.

    Attributes:
        id: the metric's id.
        value: the main figure.
        extra: the other figures, by name.
        protocol: what the number stands for.
        warnings: what a reader of the number must know.
        per_class: a table with one row a class, whose column ``class`` names it; None if there is none.
        per_image: a table with one row a generated image, whose column ``index`` is the image's index; None if
            there is none. It is not part of the JSON report.
        replicates: for each side whose share of the error is known, the value without each block of its images.
    """

    id: str
    value: float
    extra: Mapping[str, float | int]
    protocol: Protocol
    warnings: tuple[str, ...] = ()
    per_class: Table | None = None
    per_image: Table | None = None
    replicates: Mapping[Stage, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExtractorInfo:
    """What is known of an extractor without building it.

    Attributes:
        id: ``architecture.tag``.
        target: ``module:Class`` of the extractor.
        summary: one line for people.
        features: the width of each named output.
        preprocess: the id of its own published preprocessing.
        pool: the feature that distances use unless they name another.
        logits: the class logits that the Inception Score uses; None if the network has no classes.
        licence: the licence of the weights.
        pairs: whether it compares pairs of images, and has no features of single ones.
    """

    id: str
    target: str
    summary: str
    features: Mapping[str, int]
    preprocess: str
    pool: str
    logits: str | None = None
    licence: str = ""
    pairs: bool = False


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric without importing it.

    Attributes:
        id: the metric's id, a protocol's name.
        target: ``module:Class`` of the metric.
        summary: one line for people.
        extractor: the extractor that the id stands for.
        feature: the extractor's output that it uses.
        preprocess: the preprocessing that it stands for.
        higher_is_better: whether a larger number is a better model.
        unary: whether it needs no reference.
        generic: the family name that it takes on another extractor (``fd`` for ``fid``); None if the id
            makes sense on its own network only.
        role: which of an extractor's outputs it takes there, ``pool`` or ``logits``.
        estimator: the estimator and its constants, as protocols carry it.
        equals: the published implementations whose number it is.
        settings: the constants that its class takes, where one class serves several protocols.

    A metric of several networks names them, their features and their preprocessings with ``|`` between.
    """

    id: str
    target: str
    summary: str
    extractor: str
    feature: str
    preprocess: str
    higher_is_better: bool
    unary: bool
    generic: str | None = None
    role: Literal["pool", "logits"] = "pool"
    estimator: str = ""
    equals: str = ""
    settings: tuple[tuple[str, int | float], ...] = ()

    @property
    def protocol(self) -> Protocol:
        """Everything that the id stands for."""
        return Protocol(self.extractor, self.feature, self.preprocess, self.estimator)


#: Metrics as they are asked for: ids, or one string of them with commas; a ``MetricInfo`` stands for one whose
#: network, feature or constants no id has.
MetricsLike = Sequence[str | MetricInfo] | str


@dataclass(frozen=True)
class Progress:
    """How far a pass is.

    Attributes:
        stage: ``advice`` for what is known to put figures in doubt before any image is read, ``ref`` or ``gen`` while
            images are read, ``metrics`` while figures are computed.
        done: images, metrics or pieces of advice, finished.
        total: how many there are; None if unknown.
        message: what is being done, for people; or the advice.
    """

    stage: Literal["advice", "ref", "gen", "metrics"]
    done: int
    total: int | None
    message: str = ""


@dataclass(frozen=True)
class SideRecord:
    """What a report says of one image set.

    Attributes:
        source: the description of where the images came from.
        kind: the source's kind.
        num_samples: how many images were used; None if a file of another tool does not say.
        digest: sha256 of the decoded images as a set: the same pixels give the same digest from a folder,
            an archive or an array, in any order. None if a file of another tool does not say.
        skipped: images that could not be read and were left out on request.
        notes: what a reader must know of the set, such as dropped transparency.
        selection: which subset of the source's images was used; None for all.
        parts: the sources that were merged, in the order of their indices.
        stats_file: the file that the statistics were loaded from; empty if they were computed in this run.
        alpha: what became of transparency; None if a file of another tool does not say.
        num_transparent: how many images had any.
        num_by_device: how many images something else than Pillow decoded, see ``--decode``.
        formats: how many images were of each encoded format, by name, in the order of the names; the rest were arrays.
            None if that is not known.
        sizes: how large the images were before any crop; None if that is not known.
    """

    source: str
    kind: str
    num_samples: int | None
    digest: str | None
    skipped: tuple[SkippedImage, ...] = ()
    notes: tuple[str, ...] = ()
    selection: Selection | None = None
    parts: tuple[Part, ...] = ()
    stats_file: str = ""
    alpha: AlphaPolicy | None = None
    num_transparent: int = 0
    num_by_device: int = 0
    formats: tuple[tuple[str, int], ...] | None = None
    sizes: Sizes | None = None


@dataclass(frozen=True)
class ExtractorRecord:
    """What a report says of one network. None stands where a file of another tool does not say.

    Attributes:
        weights_sha256: of the weight file's bytes.
        official: whether these are the published weights.
        precision: the precision that it ran in.
        preprocess: each preprocessing that was used, as data.
        backend: what it ran on, such as ``torch``; several with commas where parts were computed in different runs.
    """

    weights_sha256: str | None
    official: bool | None
    precision: Precision | None
    preprocess: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: MappingProxyType({}))
    backend: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The fields as plain values, for files."""
        return {
            "weights_sha256": self.weights_sha256,
            "official": self.official,
            "precision": self.precision,
            "preprocess": {name: dict(spec) for name, spec in self.preprocess.items()},
            "backend": self.backend,
        }


def joined_backends(records: Iterable[ExtractorRecord]) -> str | None:
    """What the parts of a network's features ran on, each once, with commas; None where none says it."""
    said = [name for record in records if record.backend is not None for name in record.backend.split(", ")]
    return ", ".join(dict.fromkeys(said)) or None
