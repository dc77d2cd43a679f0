"""Feature models by name or mode, and the statistics of sets by name."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np

from genmetrics.compat.cleanfid.network import METRIC_OF_MODE, DeviceLike, Network, check_mode, network_of
from genmetrics.compat.cleanfid.statistics import found_stats
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.registry import did_you_mean
from genmetrics.stats.stats import Stats

__all__ = ["build_feature_extractor", "feature_extractor", "get_reference_statistics"]

_TORCHSCRIPT, _PYTORCH = "torchscript_inception", "pytorch_inception"


def feature_extractor(
    name: str = _TORCHSCRIPT, device: DeviceLike = "auto", resize_inside: bool = False, use_dataparallel: bool = True
) -> Network:
    """A function of images, (n, 3, h, w), 0..255, to their (n, 2048) features.

    Both names are of the same weights, ``inception-v3.tf2015``.

    Args:
        name: ``torchscript_inception`` normalises by (x - 128) / 128, ``pytorch_inception`` by 2x/255 - 1.
        device: where it runs; ``auto`` is a GPU where there is one.
        resize_inside: whether ``torchscript_inception`` resizes images of any size as TensorFlow 1 does; otherwise
            they are 299×299. Of ``pytorch_inception`` it says nothing, in clean-fid neither.
        use_dataparallel: is taken and changes nothing: one device is used.

    Raises:
        UsageError: if it is another name.
    """
    if name == _PYTORCH:
        return Network(METRIC_OF_MODE["legacy_pytorch"], device)
    if name != _TORCHSCRIPT:
        raise UsageError(f"feature extractor {name!r}: {did_you_mean(name, [_TORCHSCRIPT, _PYTORCH])}")
    mode = "legacy_tensorflow" if resize_inside else "clean"
    return Network(METRIC_OF_MODE[mode], device, resizes=resize_inside)


def build_feature_extractor(mode: str, device: DeviceLike = "auto", use_dataparallel: bool = True) -> Network:
    """The feature model of a mode.

    Args:
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        device: where it runs.
        use_dataparallel: is taken and changes nothing.

    Raises:
        UsageError: if there is no such mode.
    """
    return network_of(mode, device=device)


def get_reference_statistics(
    name: str,
    res: int | str,
    mode: str = "clean",
    model_name: str = "inception_v3",
    seed: int = 0,
    split: str = "test",
    metric: str = "FID",
) -> tuple[np.ndarray, np.ndarray] | np.ndarray:
    """The statistics of a set by its name, fetched from clean-fid's server if they are not here.

    Args:
        name: of the set.
        res: its resolution; of no meaning for the split ``custom``.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        model_name: ``inception_v3``, or another that is part of the file's name.
        seed: is taken and changes nothing, in clean-fid neither.
        split: of the set; ``custom`` for those of ``make_custom_stats``.
        metric: ``FID`` or ``KID``.

    Returns:
        The mean (d,) and the covariance (d, d) for FID, the features (n, d) for KID.

    Raises:
        StatisticsError: if they are neither here nor to be had.
    """
    check_mode(mode)
    path = found_stats(name, mode, model_name, split, res, metric)
    wanted = ("mu", "sigma") if metric == "FID" else ("feats",)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            found = [held[key] for key in wanted]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        Stats.load(path)  # says what is wrong with it
        raise StatisticsError(f"'{path}' holds no {' and '.join(wanted)} ({error}); remove it") from error
    return (found[0], found[1]) if metric == "FID" else found[0]
