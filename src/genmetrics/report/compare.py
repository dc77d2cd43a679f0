"""Whether one model is better than another: the difference of two results, how sure it is, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.registry import did_you_mean
from genmetrics.report.comparability import FORCED, check_alike, check_runs, same_reference
from genmetrics.report.difference import MetricDifference, Pairing, compare_metric
from genmetrics.report.saved import SavedResult
from genmetrics.types import MetricInfo

__all__ = ["SCHEMA", "Comparison", "Lookup", "Model", "compare_results"]

SCHEMA = 1

#: Sources that make sample i of the same noise whenever the seed is the same.
_GENERATORS = frozenset({"generator", "torchscript", "onnx", "python"})

_ONE_TRAINING = (
    "the intervals are of the images that were drawn, not of training the models again, which moves such figures more; "
    "for that give several runs of each model"
)

#: What is known of the metric of an id; None if nothing is.
Lookup = Callable[[str], MetricInfo | None]


@dataclass(frozen=True)
class Model:
    """One side of a comparison.

    Attributes:
        results: the files of its runs, or what else they are known by.
        sources: where the images of each run came from.
        num_samples: how many each has; None where that is not said.
        digests: of the images of each run; None where that is not said.
    """

    results: tuple[str, ...]
    sources: tuple[str, ...]
    num_samples: int | None
    digests: tuple[str | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Model B against model A.

    Attributes:
        a: the model that the other is compared with.
        b: the other.
        metrics: the differences, by metric id.
        only_in_a: metrics of A that B does not have.
        only_in_b: metrics of B that A does not have.
        forced: whether they do not compare, and were compared all the same.
        notes: what a reader must know.
    """

    a: Model
    b: Model
    metrics: Mapping[str, MetricDifference]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    forced: bool
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> MetricDifference:
        """The difference in a metric.

        Raises:
            UnknownNameError: if it was not compared.
        """
        try:
            return self.metrics[name]
        except KeyError:
            hint = did_you_mean(name, list(self.metrics))
            raise UnknownNameError(f"the comparison has no metric {name!r}; {hint}") from None

    def __iter__(self) -> Iterator[str]:
        """The ids of the metrics, in their order."""
        return iter(self.metrics)

    def __len__(self) -> int:
        """How many metrics there are."""
        return len(self.metrics)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that a reader must know, each once, with the metrics that it is about."""
        about: dict[str, list[str]] = {}
        for name, of in self.metrics.items():
            for text in of.notes:
                about.setdefault(text, []).append(name)
        return (*self.notes, *(f"{', '.join(ids)}: {text}" for text, ids in about.items()))

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values, in the layout of the JSON file."""
        return {
            "schema": SCHEMA,
            "a": _model(self.a),
            "b": _model(self.b),
            "metrics": {name: of.to_dict() for name, of in self.metrics.items()},
            "only_in_a": list(self.only_in_a),
            "only_in_b": list(self.only_in_b),
            "forced": self.forced,
            "notes": list(self.notes),
        }


def compare_results(
    a: Sequence[SavedResult],
    b: Sequence[SavedResult],
    lookup: Lookup,
    *,
    metrics: Sequence[str] | None = None,
    same_latents: bool = False,
    force: bool = False,
) -> Comparison:
    """Compare the runs of two models, one or more of each.

    Args:
        a: the runs of the model that the other is compared with.
        b: the runs of the other.
        lookup: what is known of the metric of an id; None if nothing is.
        metrics: the ids to compare; None takes all that both have.
        same_latents: sample i of A and of B was made of the same latent, though the results do not say it.
        force: compare what does not compare.

    Raises:
        StatisticsError: if protocols, networks, references or numbers of samples differ.
        UnknownNameError: if an asked metric is not in all results.
        UsageError: if no metric is in all results.
    """
    shared = _shared(a, b, metrics)
    infos = {name: lookup(name) for name in shared}

    def needs_ref(name: str) -> bool:
        info = infos[name]
        return info is None or not info.unary

    notes = [*check_runs(a, force=force), *check_runs(b, force=force)]
    for other in (*a[1:], *b):
        notes += check_alike(a[0], other, shared, needs_ref, force=force)
    notes += _partly(a, b, shared) if metrics is None else ()
    same_images = [(one, other) for one in a for other in b if _same_images(one, other)]
    notes += [
        f"'{one.name}' and '{other.name}' have the same generated images, so that neither is better"
        for one, other in same_images
    ]
    pairing = Pairing(
        gen=same_latents or bool(same_images) or _same_noise(a[0], b[0]),
        ref=same_reference(a[0], b[0]),
        same_images=bool(same_images),
    )
    differences = {
        name: compare_metric(
            [run.metrics[name] for run in a],
            [run.metrics[name] for run in b],
            pairing,
            needs_ref=needs_ref(name),
            higher_is_better=None if info is None else info.higher_is_better,
        )
        for name, info in infos.items()
    }
    notes += _of_one_training(a, b, differences)
    return Comparison(
        _of(a),
        _of(b),
        differences,
        _missing(a, b),
        _missing(b, a),
        any(text.startswith(FORCED) for text in notes),
        tuple(dict.fromkeys(notes)),
    )


def _shared(a: Sequence[SavedResult], b: Sequence[SavedResult], asked: Sequence[str] | None) -> list[str]:
    runs = (*a, *b)
    everywhere = [name for name in a[0].metrics if all(name in run.metrics for run in runs)]
    if asked is None:
        if not everywhere:
            held = "; ".join(f"'{run.name}' has {', '.join(run.metrics) or 'none'}" for run in runs)
            raise UsageError(f"the results have no metric in common ({held}); evaluate both with the same -m")
        return everywhere
    for name in asked:
        if name not in everywhere:
            lacking = next(run.name for run in runs if name not in run.metrics)
            hint = did_you_mean(name, everywhere) if everywhere else "they have no metric in common"
            raise UnknownNameError(f"metric {name!r} is not in '{lacking}'; of those that all results have: {hint}")
    return list(dict.fromkeys(asked))


def _missing(held: Sequence[SavedResult], other: Sequence[SavedResult]) -> tuple[str, ...]:
    theirs = {name for run in other for name in run.metrics}
    return tuple(dict.fromkeys(name for run in held for name in run.metrics if name not in theirs))


def _partly(a: Sequence[SavedResult], b: Sequence[SavedResult], shared: Sequence[str]) -> list[str]:
    """Metrics that both models have, and not all of their runs."""
    left_out = {*_missing(a, b), *_missing(b, a), *shared}
    held = dict.fromkeys(name for run in (*a, *b) for name in run.metrics if name not in left_out)
    return [
        f"{name} is not compared, since "
        + ", ".join(f"'{run.name}'" for run in (*a, *b) if name not in run.metrics)
        + " does not have it"
        for name in held
    ]


def _same_images(one: SavedResult, other: SavedResult) -> bool:
    if one.path is not None and other.path is not None and one.path.samefile(other.path):
        return True
    return one.gen.digest is not None and one.gen.digest == other.gen.digest


def _same_noise(one: SavedResult, other: SavedResult) -> bool:
    """Whether generators made both sets, as many images, with one seed."""
    return (
        one.gen.kind in _GENERATORS
        and one.gen.kind == other.gen.kind
        and one.seed is not None
        and one.seed == other.seed
        and one.gen.num_samples is not None
        and one.gen.num_samples == other.gen.num_samples
    )


def _of_one_training(
    a: Sequence[SavedResult], b: Sequence[SavedResult], differences: Mapping[str, MetricDifference]
) -> tuple[str, ...]:
    sure = any(of.verdict in ("better", "worse") for of in differences.values())
    return (_ONE_TRAINING,) if sure and len(a) == len(b) == 1 else ()


def _of(runs: Sequence[SavedResult]) -> Model:
    return Model(
        tuple(run.name for run in runs),
        tuple(run.gen.source for run in runs),
        runs[0].gen.num_samples,
        tuple(run.gen.digest for run in runs),
    )


def _model(model: Model) -> dict[str, Any]:
    return {
        "results": list(model.results),
        "sources": list(model.sources),
        "num_samples": model.num_samples,
        "digests": list(model.digests),
    }
