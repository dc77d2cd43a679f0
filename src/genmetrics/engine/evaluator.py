"""Measuring inside a training loop: images come in as tensors, the report when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.build import PATHS
from genmetrics.accumulators.composition import Composition
from genmetrics.accumulators.content import ContentDigest
from genmetrics.accumulators.labels import Labels
from genmetrics.engine.comparable import check_comparable
from genmetrics.engine.evaluate import drive, weights_by_extractor
from genmetrics.engine.fed import FedSamples
from genmetrics.engine.feeder import Unbroken
from genmetrics.engine.feeders import make_feeders
from genmetrics.engine.hashing import Hashing
from genmetrics.engine.hints import naming_another_network
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options, told_alike
from genmetrics.engine.plan import make_plan
from genmetrics.engine.prepare import bind_side, prepare_side
from genmetrics.engine.run import build_report, merged_cautions
from genmetrics.engine.sides import SourceLike, open_side
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.report.report import Report
from genmetrics.stats.stats import Stats
from genmetrics.types import BackendChoice, ExtractorRecord, MetricsLike, Need, Precision, SideRecord

__all__ = ["Evaluator"]


class Evaluator:
    """Feed generated images batch by batch, then compute the report.

    The reference is read, and everything else checked, when the evaluator is made. Under an initialised
    ``torch.distributed`` every rank feeds its own images, as many as it has, and ``compute`` gives all ranks
    the same report, or raises the same error on all; every rank makes the evaluator and calls ``compute``.

    No image counts twice: with ``indices`` a repeated one is refused, within a rank at once and over the ranks in
    ``compute``. ``torch.utils.data.DistributedSampler`` gives every rank the same number of samples, some of them
    again where that does not come out even; ``num_samples`` leaves these out.

    While a network has one batch, the next is taken: an error may be of an earlier ``update`` than the one that raises
    it. What was fed is then no longer a known set of images, so that after an error out of the networks or the
    statistics ``update`` and ``compute`` refuse, on a CPU as on a GPU, until ``reset``. Arguments that are refused
    change nothing.
    """

    def __init__(
        self,
        ref: SourceLike | Stats | None = None,
        metrics: MetricsLike | None = None,
        *,
        extractor: str | None = None,
        weights: Mapping[str, Path] | Path | str | None = None,
        device: str = Options.device,
        precision: Precision = Options.precision,
        backend: BackendChoice = Options.backend,
        batch_size: int | None = Options.batch_size,
        workers: int | None = None,
        seed: int = Options.seed,
        cache: bool | Path = Options.cache,
        force: bool = Options.force,
        num_samples: int | None = None,
    ) -> None:
        """Load networks and reference.

        Args:
            ref: the reference set, as ``evaluate`` takes it; ``Stats`` save reading it again.
            metrics: metric ids, or a ``MetricInfo`` for constants that no id has; None takes ``fid,kid,isc`` with a
                reference and ``isc`` without one.
            extractor: the network on which to compute them; None takes each metric's own.
            weights: a weight file for the one extractor in use, or files by extractor id.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            precision: ``exact``, ``tf32`` or ``bf16``.
            backend: what convolutional networks run on: ``auto``, ``openvino``, ``torch`` or ``reference``.
            batch_size: images that go through the network at once; None takes 32, and 128 on a CUDA device.
            workers: threads that decode the reference.
            seed: of every random choice.
            cache: keep the reference's statistics, and use those that are kept.
            force: compare with a reference that is not comparable, with a warning.
            num_samples: the length of the dataset that a ``DistributedSampler`` shares out, every image with its index
                in it: what the sampler gives again to even out the ranks is left out, and ``compute`` makes sure that
                each index 0..num_samples-1 was counted once.

        Raises:
            GenmetricsError: see ``genmetrics.errors``.
        """
        self._options = Options(
            extractor=extractor,
            weights=weights_by_extractor(weights, extractor, metrics),
            device=device,
            precision=precision,
            backend=backend,
            batch_size=batch_size,
            workers=workers,
            seed=seed,
            cache=cache,
            force=force,
        )
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples < 1):
            raise UsageError(f"num_samples {num_samples!r}: expected a whole number of at least 1")
        self._num_samples = num_samples
        self._told = told_alike(metrics, self._options) | {"num_samples": str(num_samples)}
        with distributed.shared_run("Evaluator()", self._told) as run:
            # What an update() fails with is known to the others by it.
            self._scope = "" if run is None else f"{run.scope}/fed"
            self._prepare(ref, metrics, extractor, seed, force)
        self._num_resets = -1
        self.reset()

    def _prepare(
        self,
        ref: SourceLike | Stats | None,
        metrics: MetricsLike | None,
        extractor: str | None,
        seed: int,
        force: bool,
    ) -> None:
        self._plan = make_plan(metrics, extractor, seed, ref is not None)
        of_paths = [metric.id for metric in self._plan.metrics for need in metric.needs if need.accumulator == PATHS]
        if of_paths:
            raise UsageError(
                f"metric {of_paths[0]!r} is of the generator itself, which an Evaluator does not see; "
                "evaluate(GeneratorSource(...)) computes it"
            )
        needs = self._plan.ref_needs
        side = None if ref is None or not needs else open_side(ref, "ref", self._options)
        with naming_another_network(metrics, extractor, ref is not None):
            self._networks = Networks((need.extractor for need in self._plan.gen_needs), self._options)
        self._ref = None
        self._cautions: dict[Need, tuple[str, ...]] = {}
        self._ref_records: Mapping[Need, ExtractorRecord] = {}
        if side is not None:
            bound = bind_side(side, "ref", needs, self._plan, self._options)
            prepared = prepare_side(
                side, "ref", needs, bound, self._networks, self._options, labels_for=self._plan.labels_for
            )
            ours = {need: self._networks.record(need) for need in needs}
            differing = check_comparable(self._plan, ours, prepared.records, force=force)
            self._cautions = merged_cautions(prepared.cautions, differing)
            self._ref_records = prepared.records
            self._ref = drive(prepared.complete({}), None)

    def reset(self) -> None:
        """Forget all generated images and what went wrong with them; reference and networks stay.

        It tells the other ranks nothing: each of them calls it, as often as the others.
        """
        self._num_resets += 1
        self._fed = FedSamples(self._num_samples)
        self._started = time.perf_counter()
        self._captions: dict[int, str] = {}
        needs, batch_size = self._plan.gen_needs, self._options.batch_size_on(self._networks.device)
        self._feeders = make_feeders(needs, self._networks, batch_size, None, self._captions)
        self._labels = Labels()
        self._unbroken = Unbroken()
        self._content = Hashing(self._networks.device)
        self._composition = Composition()

    def update(
        self,
        images: UInt8[Tensor, "n 3 h w"],
        indices: Int64[Tensor, " n"] | Sequence[int] | None = None,
        *,
        labels: Int64[Tensor, " n"] | Sequence[int] | None = None,
        captions: Sequence[str] | None = None,
    ) -> None:
        """Feed generated images.

        Args:
            images: (n, 3, h, w) uint8 RGB, 0..255, on any device.
            indices: (n,) integers, the numbers of the samples, unique over all calls and ranks; they order the samples
                for KID's subsets and the Inception Score's splits. None counts them as they come, which is
                the same numbers for any split into batches on one process. With a ``DistributedSampler`` they are
                those that it gives, in its order.
            labels: (n,) integers, the classes, for metrics of single classes.
            captions: what each image is said to show, for CLIP scores.

        Raises:
            UsageError: if the images are not uint8 of that shape, something comes in another number than the images,
                indices or labels are no integers, only some calls give indices, or an index was counted before.
            StatisticsError: if a feature is NaN or infinite, of these images or of an earlier call's, or if an earlier
                call failed; nothing more is taken before ``reset``.
        """
        _check_images(images)
        count = images.shape[0]
        numbers = None if indices is None else _integers(indices, "indices", count)
        classes = None if labels is None else _integers(labels, "labels", count)
        if captions is not None and len(captions) != count:
            raise UsageError(f"{count} images came with {len(captions)} captions")
        numbered, kept = self._fed.numbers(numbers, count)
        self._fed.add(numbers, count, kept)
        if kept is not None:
            images, numbered = images[kept.to(images.device)], numbered[kept]
            classes = None if classes is None else classes[kept]
            if captions is not None:
                captions = [text for text, own in zip(captions, kept.tolist(), strict=True) if own]
        try:
            self._feed(images, numbered, classes, captions)
        except BaseException as error:
            if self._scope:
                distributed.post(self._fed_scope, error)
            raise

    def _feed(self, images: Tensor, numbers: Tensor, classes: Tensor | None, captions: Sequence[str] | None) -> None:
        with self._unbroken.doing():
            if captions is not None:
                self._captions.update(zip(numbers.tolist(), captions, strict=True))
            if classes is not None:
                self._labels.update(classes, numbers)
            self._composition.add_pixels(len(images), images.shape[3], images.shape[2])
            with self._content.reading(images, numbers):
                for feeder in self._feeders:
                    feeder.add(images, numbers, classes)

    @property
    def _fed_scope(self) -> str:
        return f"{self._scope} {self._num_resets}"

    def compute(self) -> Report:
        """The report on all images fed since the last ``reset``; feeding may go on afterwards.

        Raises:
            StatisticsError: if there are too few images for a metric, a feature is NaN or infinite, or an ``update``
                failed.
        """
        facts = {**self._told, "the number of reset() calls": str(self._num_resets)}
        with distributed.shared_run("Evaluator.compute()", facts, also=(self._fed_scope,)):
            return self._compute()

    def _compute(self) -> Report:
        self._unbroken.check()
        shares = distributed.gather(
            _Share(self._content.digest(), self._composition, self._fed.num_fed, self._fed.own_indices)
        )
        content, composition = shares[0].content, shares[0].composition
        for share in shares[1:]:
            content, composition = content.merge(share.content), composition.merge(share.composition)
        if content.num_samples == 0:
            raise StatisticsError("no images were fed; call update(images) before compute()")
        if len({share.own_indices for share in shares if share.num_fed}) > 1:
            raise UsageError(
                "some ranks gave indices with their images and others did not; counted and given ones would collide. "
                "Give them on every rank or on none"
            )
        left_out = sum(share.num_fed for share in shares) - content.num_samples
        self._fed.check_counted_once()
        for feeder in self._feeders:
            feeder.finish()
        filled = {need: held for feeder in self._feeders for need, held in feeder.accumulators.items()}
        accumulators = {need: distributed.merge_over_ranks(filled[need]) for need in self._plan.gen_needs}
        labels = distributed.merge_over_ranks(self._labels)
        keys = distributed.merge_over_ranks(self._content.keys())
        complete = labels if labels.num_samples == content.num_samples else None
        known = tuple(note for feeder in self._feeders for note in feeder.notes)
        notes = tuple(dict.fromkeys(note for part in distributed.gather(known) for note in part))
        if left_out:
            notes += (f"{left_out} images that a sampler gave again to even out the ranks were left out",)
        side = SideRecord(
            "Evaluator.update()",
            "tensors",
            content.num_samples,
            content.hexdigest(),
            notes=notes,
            formats=composition.formats,
            sizes=composition.sizes,
        )
        records = self._networks.records(self._plan.gen_needs)
        gen = Stats(accumulators, side, records, self._options.seed, complete, keys=keys if keys.complete else None)
        ours = {need: self._networks.record(need) for need in self._plan.gen_needs}
        steps = build_report(
            self._plan,
            gen,
            self._ref,
            self._networks,
            self._options,
            {},
            self._started,
            records=[ours, self._ref_records],
            cautions=self._cautions,
            notes=self._plan.notes,
        )
        return drive(steps, None)


@dataclass(frozen=True)
class _Share:
    """What a rank was fed."""

    content: ContentDigest
    composition: Composition
    num_fed: int
    own_indices: bool


def _integers(given: object, name: str, count: int) -> Int64[Tensor, " n"]:
    """One integer for each image, on the CPU."""
    try:
        values = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{name} are a {type(given).__name__} of which no tensor can be made ({error}); expected one integer for "
            "each image"
        ) from error
    if values.shape != (count,):
        raise UsageError(f"{count} images came with {name} of shape {tuple(values.shape)}")
    if count and (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool):
        raise UsageError(f"{name} are {values.dtype}; expected one integer for each image")
    return values.to("cpu", torch.int64)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise UsageError(
            f"images are {images.dtype}; expected torch.uint8, 0..255. From floats in 0..1: "
            "(x.clamp(0, 1) * 255).round().to(torch.uint8); from -1..1: ((x.clamp(-1, 1) + 1) * 127.5).round()"
            ".to(torch.uint8)"
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(f"images have shape {tuple(images.shape)}; expected (n, 3, h, w)")
