"""Writing statistics for other tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.files import write_atomically
from genmetrics.stats.formats import check_name
from genmetrics.stats.formats.own_npz import METADATA, metadata_of
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import Need

__all__ = ["save_as", "write_npz"]

_KID_ENDING = "_kid.npz"


def save_as(stats: Stats, path: str | Path, need: Need | None = None) -> None:
    """Write statistics in the format that the name of the file asks for.

    Args:
        stats: the statistics.
        path: ``.safetensors`` for everything in our own format, ``.npz`` for what other tools read.
        need: of which feature, where an npz file can hold only one.

    Raises:
        UsageError: if the name ends in anything else.
    """
    path = Path(path)
    check_name(path)
    if path.suffix == ".npz":
        write_npz(stats, path, need)
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
    kind = "feature_bank" if path.name.endswith(_KID_ENDING) else "moments"
    chosen = _chosen(stats, kind, path) if need is None else replace(need, accumulator=kind, options=())
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


def _chosen(stats: Stats, kind: str, path: Path) -> Need:
    """The one need of that kind that the statistics meet."""
    # Moments can be made from kept features.
    kinds = {kind, "feature_bank"}
    found = list(
        dict.fromkeys(
            replace(need, accumulator=kind, options=()) for need in stats.accumulators if need.accumulator in kinds
        )
    )
    what = "features" if kind == "feature_bank" else "mean and covariance"
    if not found:
        raise StatisticsError(
            f"'{stats.name}' holds no {what}, which '{path}' is to hold; it holds: {stats.holdings()}. Make the "
            f"statistics again for {'kid' if kind == 'feature_bank' else 'fid'}: `genmetrics stats build SRC -o FILE "
            f"-m {'kid' if kind == 'feature_bank' else 'fid'}`"
        )
    if len(found) > 1:
        names = "; ".join(describe_need(need) for need in found)
        raise UsageError(
            f"'{stats.name}' holds {what} of {len(found)} kinds, and '{path}' can hold one: {names}. Choose by the "
            "metric that uses it, `-m METRIC`, such as `-m fid`"
        )
    return found[0]
