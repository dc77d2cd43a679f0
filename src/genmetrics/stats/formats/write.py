"""Writing statistics for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from genmetrics.accumulators.build import NO_FEATURES
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.files import write_atomically
from genmetrics.stats.formats import check_name
from genmetrics.stats.formats.own_npz import METADATA, metadata_of
from genmetrics.stats.formats.todd import is_todds, save_todd
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import Need, same_features

__all__ = ["check_can_hold", "save_as", "usual_metrics", "write_npz"]

_KID_ENDING = "_kid.npz"
#: Files that hold one kind of statistics, of one network and layer.
_ONE_KIND = (".npz", ".pth")


def save_as(stats: Stats, path: str | Path, need: Need | None = None) -> None:
    """Write statistics in the format that the name of the file asks for.

    Args:
        stats: the statistics.
        path: ``.safetensors`` for everything in our own format, ``.npz`` for what other tools read, ``.pth`` for what
            todd and vq.fid read.
        need: of which feature, where a file can hold only one.

    Raises:
        UsageError: if the name ends in anything else.
    """
    path = Path(path)
    check_name(path)
    if path.suffix == ".npz":
        write_npz(stats, path, need)
    elif path.suffix == ".pth":
        chosen = _chosen(tuple(stats.accumulators), path, stats.name) if need is None else _of_todd(need, path)
        save_todd(stats, path, chosen)
    else:
        stats.save(path)


def write_npz(stats: Stats, path: Path, need: Need | None = None) -> None:
    """Write mean and covariance, or features, as other tools read them.

    ``mu`` (d,) and ``sigma`` (d, d), the sample covariance, float64, as pytorch-fid, TTUR and clean-fid read them; or,
    where the name ends in ``_kid.npz``, ``feats`` (n, d) float32, as clean-fid reads it. Beside them stand
    ``num_samples``, ``indices`` of features, and as ``genmetrics`` the record as a JSON text. There is no pickle in it.

    Args:
        stats: the statistics.
        path: the file; its name is taken as it is.
        need: of which network and layer; only needed where there are several.

    Raises:
        UsageError: if there are several and none was chosen.
        StatisticsError: if there are none, or of too few images.
        OutputError: if it cannot be written; a file that stood there stays as it was.
    """
    kind = _kind(path)
    chosen = (
        _chosen(tuple(stats.accumulators), path, stats.name)
        if need is None
        else replace(need, accumulator=kind, options=())
    )
    held = stats.get(chosen)
    arrays: dict[str, np.ndarray] = {}
    if isinstance(held, FeatureBank):
        arrays |= {"feats": held.rows().numpy(), "indices": held.indices().numpy()}
    else:
        assert isinstance(held, Moments)
        arrays |= {"mu": held.mean().cpu().numpy(), "sigma": held.covariance().cpu().numpy()}
    arrays[METADATA] = metadata_of(stats, chosen, arrays)
    if stats.num_samples is not None:
        arrays["num_samples"] = np.array(stats.num_samples, dtype=np.int64)

    def write(temporary: Path) -> None:
        # A path that does not end in .npz would be given that ending.
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomically(path, write)


def check_can_hold(path: Path, needs: Sequence[Need]) -> None:
    """Raise if a file of that name could not hold statistics that meet all of these needs.

    Raises:
        StatisticsError: if it holds another kind.
        UsageError: if it holds one of a kind, and there are several.
    """
    if path.suffix not in _ONE_KIND:
        return
    chosen = _chosen(needs, path, "what was asked for")

    def held(need: Need) -> bool:
        made = chosen.accumulator == "feature_bank" and need.accumulator not in NO_FEATURES
        return same_features(need, chosen) and (made or (need.accumulator, need.options) == (chosen.accumulator, ()))

    lost = [describe_need(need) for need in needs if not held(need)]
    if lost:
        raise StatisticsError(
            f"'{path}' would hold {describe_need(chosen)} alone, and the metrics that were asked for also need: "
            f"{', '.join(lost)}. Write '{path.with_suffix('.safetensors')}', which holds it all, or leave these "
            "metrics out"
        )


def usual_metrics(path: Path) -> str:
    """For which metrics a file of that name is made, if nothing is said: as many of FID and KID as it can hold."""
    if path.suffix == ".pth":
        return "fid_pytorch"
    return "fid" if path.suffix == ".npz" and _kind(path) == "moments" else "fid,kid"


def _kind(path: Path) -> str:
    return "feature_bank" if path.name.endswith(_KID_ENDING) else "moments"


def _chosen(needs: Sequence[Need], path: Path, name: str) -> Need:
    """The one need that an npz of that name can meet from statistics that meet these."""
    kind = _kind(path)
    # Moments can be made from kept features; those of rows of unit norm are no mean and covariance of the features.
    kinds = {(kind, ()), ("feature_bank", ())}
    found = list(
        dict.fromkeys(replace(need, accumulator=kind) for need in needs if (need.accumulator, need.options) in kinds)
    )
    what, metric = ("features", "kid") if kind == "feature_bank" else ("mean and covariance", "fid")
    if path.suffix == ".pth":
        found = [need for need in found if is_todds(need)]
        what, metric = "mean and covariance as todd makes them", "fid_pytorch"
    if not found:
        held = ", ".join(describe_need(need) for need in needs) or "nothing"
        raise StatisticsError(
            f"'{name}' holds no {what}, which '{path}' is to hold; it holds: {held}. Make statistics for {metric}: "
            f"`genmetrics stats build SRC -o FILE -m {metric}`"
        )
    if len(found) > 1:
        names = "; ".join(describe_need(need) for need in found)
        raise UsageError(
            f"'{name}' holds {what} of {len(found)} kinds, and '{path}' can hold one: {names}. Write a .safetensors, "
            "which holds them all, and choose with `genmetrics stats convert IN OUT -m METRIC`"
        )
    return found[0]


def _of_todd(need: Need, path: Path) -> Need:
    """A need that was chosen, as a ``.pth`` can meet it."""
    chosen = replace(need, accumulator="moments", options=())
    if not is_todds(chosen):
        raise StatisticsError(
            f"'{path}' is to hold {describe_need(chosen)}, and whoever reads it takes it for inception-v3.tf2015/2048/"
            f"torch-bilinear-299, as todd and vq.fid make it; write '{path.with_suffix('.npz')}', or choose fid_pytorch"
        )
    return chosen
