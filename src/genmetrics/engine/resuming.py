"""Whether a run can be resumed, where its checkpoints are, and what must be the same for one to go on from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from genmetrics import distributed
from genmetrics.accumulators.build import NO_FEATURES
from genmetrics.engine.checkpoints import Checkpoints
from genmetrics.engine.chosen import Chosen
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.errors import UsageError
from genmetrics.extractors.base import packages_of
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.sources.base import ImageSource
from genmetrics.types import Need, Stage
from genmetrics.versions import version_of, versions

__all__ = ["open_checkpoints"]


def open_checkpoints(
    folder: Path,
    stage: Stage,
    source: ImageSource,
    chosen: Chosen,
    needs: Sequence[Need],
    networks: Networks,
    options: Options,
    keep_logits: bool,
) -> Checkpoints:
    """The checkpoints of one side of a run, or of this rank's share of it.

    Args:
        folder: of the run.
        stage: which side it is.
        source: its images.
        chosen: those that are used.
        needs: what is filled.
        networks: the extractors that the needs name.
        options: how images are read.
        keep_logits: whether logits are kept in place of sums of their splits.

    Raises:
        UsageError: if the set or a metric cannot be resumed, or the checkpoint is of another run, damaged or in use.
        OutputError: if the folder cannot be written.
    """
    whole = [need for need in needs if need.accumulator in NO_FEATURES]
    if whole:
        raise UsageError(
            f"metrics of {whole[0].accumulator.replace('_', ' ')} cannot be resumed: what they draw from the set is "
            "not in a checkpoint; leave '--resume' or the metric out"
        )
    before = source.fingerprint()
    if before.digest is None:
        raise UsageError(
            f"'{source.description}' gives images whose content cannot be told before they are read, so that nobody "
            "knows whether it would go on with the same ones; leave '--resume' out, or write the images to files"
        )
    rank = distributed.current_shard()
    own = folder / stage / (f"rank-{rank.index}-of-{rank.count}" if rank.count > 1 else "")
    _check_cut(folder / stage, rank.count)
    positions = "all" if chosen.positions is None else hashlib.sha256(repr(chosen.positions).encode()).hexdigest()
    run: dict[str, object] = {
        "the kind of the images": before.kind,
        "the digest of the images' names, sizes and times": before.digest,
        "the number of images": chosen.count,
        "the choice of images": positions,
        "the shard": f"{options.shard.index}/{options.shard.count}",
        "the rank": f"{rank.index} of {rank.count}",
        "--seed": options.seed,
        "--alpha": options.alpha,
        "--on-bad-image": options.on_bad_image,
        "--crop": options.crop,
        "--decode": options.decode,
        "--batch-size": options.batch_size_on(networks.device),
        "--precision": options.precision,
        "the device": networks.device.type,
        "the number of threads": torch.get_num_threads(),
        "whether logits are kept": keep_logits,
        "what the metrics need": [[*asdict(need).values()] for need in needs],
    }
    packages = {"genmetrics", "torch", "numpy", "pillow"}
    for name in dict.fromkeys(need.extractor for need in needs):
        run[f"the weights of {name}"] = networks.weights(name).sha256
        run[f"the backend of {name}"] = networks.backend(name)
        packages |= {*packages_of(name), networks.backend(name)}
    for name in dict.fromkeys(need.preprocess for need in needs):
        run[f"the preprocessing {name}"] = get_preprocess(name).as_dict()
    known = versions()
    run |= {f"the version of {name}": known.get(name) or version_of(name) for name in sorted(packages)}
    return Checkpoints(own, run)


def _check_cut(folder: Path, count: int) -> None:
    """Refuse checkpoints of another number of processes, which are of other shares."""
    wanted = f"-of-{count}"
    if not folder.is_dir():
        return
    others = sorted(path.name for path in folder.glob("rank-*-of-*") if not path.name.endswith(wanted))
    alone = (folder / "checkpoint.json").is_file() and count > 1
    if others or alone:
        before = "1 process" if alone else f"{others[0].rpartition('-')[2]} processes"
        raise UsageError(
            f"the run in '{folder}' was started with {before}, and this one has {count}; start as many, or remove the "
            "folder to begin anew"
        )
