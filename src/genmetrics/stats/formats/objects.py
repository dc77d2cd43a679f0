"""Statistics in the objects that other tools pickle: recognised by what is in them, whatever file they came in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genmetrics.accumulators.base import Accumulator
from genmetrics.stats.formats.build import INCEPTION, foreign_stats, inception, unknown
from genmetrics.stats.formats.checks import FileChecks, listed
from genmetrics.stats.formats.names import FidelityName, fidelity_name, stylegan_note
from genmetrics.stats.stats import Stats
from genmetrics.types import Need
from genmetrics.unpickle import StandIn

__all__ = ["TODD_STATISTICS", "ToddStatistics", "stats_of_object"]

#: The class that todd and vq.fid pickle, a named tuple of mu and sigma.
TODD_STATISTICS = ("todd.tasks.image_generation.fid", "Statistics")
_FIDELITY_WIDTHS = {"64": 64, "192": 192, "768": 768, "2048": 2048, "logits": 1008, "logits_unbiased": 1008}
_EDM2: dict[str, tuple[Need, int]] = {
    "fid": (inception("2048", "moments"), 2048),
    "fd_dinov2": (Need("dinov2-vitl14.lvd142m", "torch-bicubic-antialias-224", "cls", "moments"), 1024),
}
_EXPECTED = (
    "expected a dict of 'mu' and 'sigma', features (n, d), StyleGAN's 'num_items', 'raw_mean' and 'raw_cov', or "
    "EDM2's 'num_images' with 'fid' or 'fd_dinov2'"
)


class ToddStatistics(StandIn):
    """Stands for ``todd.tasks.image_generation.fid.Statistics``, which need not be installed."""

    __slots__ = ()

    def __new__(cls, mu: object, sigma: object) -> ToddStatistics:
        """As the pickle builds it."""
        return tuple.__new__(cls, (mu, sigma))


def stats_of_object(path: Path, loaded: Any, container: str) -> Stats:
    """The statistics in an object that was unpickled without running anything.

    Args:
        path: the file.
        loaded: what it holds: plain containers, numbers and arrays.
        container: what it came in, for the format's name: ``pickle``, ``npy`` or ``torch file``.

    Raises:
        StatisticsError: if there are none in it, or they are wrong.
    """
    checks = FileChecks(path)
    if isinstance(loaded, ToddStatistics):
        mu, sigma = loaded
        moments = checks.moments(mu, sigma, None, width=2048)
        need = inception("2048", "moments", "torch-bilinear-299")
        return foreign_stats(path, "todd statistics", {need: moments}, None)
    if isinstance(loaded, Mapping):
        keys = loaded.keys()
        if "num_items" in keys and {"raw_mean", "all_features"} & keys:
            return _stylegan(path, loaded, checks)
        if any(isinstance(loaded.get(key), Mapping) for key in _EDM2):
            return _edm2(path, loaded, checks)
        if {"mu", "sigma"} & keys:
            for key in {"mu", "sigma"} - keys:
                checks.fail(f"it holds {listed(keys)} and lacks {key!r}; expected both 'mu' and 'sigma'")
            return _moments(path, loaded["mu"], loaded["sigma"], container, checks)
        checks.fail(f"it holds a dict of {listed(keys)}; {_EXPECTED}")
    if isinstance(loaded, tuple | list) and len(loaded) == 2:
        return _moments(path, loaded[0], loaded[1], container, checks)
    if isinstance(loaded, np.ndarray):
        return _features(path, loaded, container, checks)
    checks.fail(f"it holds a {type(loaded).__name__}; {_EXPECTED}")


def _moments(path: Path, mu: Any, sigma: Any, container: str, checks: FileChecks) -> Stats:
    named = _fidelity(path, container, features=False)
    kind = f"mu-sigma {container}" if named is None else "torch-fidelity statistics"
    need, width, notes = _fidelity_need(named, "moments")
    return foreign_stats(path, kind, {need: checks.moments(mu, sigma, None, width=width)}, None, notes)


def _features(path: Path, rows: Any, container: str, checks: FileChecks) -> Stats:
    named = _fidelity(path, container, features=True)
    kind = f"features {container}" if named is None else "torch-fidelity features"
    need, width, notes = _fidelity_need(named, "feature_bank")
    bank = checks.features(rows, "features", width)
    return foreign_stats(path, kind, {need: bank}, bank.num_samples, notes)


def _fidelity(path: Path, container: str, features: bool) -> FidelityName | None:
    named = fidelity_name(path.name) if container == "torch file" else None
    return named if named is not None and named.features == features else None


def _fidelity_need(named: FidelityName | None, accumulator: str) -> tuple[Need, int | None, tuple[str, ...]]:
    """What torch-fidelity's name of a cache file says that its content is of."""
    if named is None:
        return unknown(accumulator), None, ()
    if named.extractor == "inception-v3-compat" and named.layer in _FIDELITY_WIDTHS:
        note = f"that the statistics are of {INCEPTION} is said by the file's name, as torch-fidelity gives it"
        return inception(named.layer, accumulator), _FIDELITY_WIDTHS[named.layer], (note,)
    network = "a network of unknown name" if named.extractor is None else f"'{named.extractor}'"
    note = f"by its name, the file is of layer '{named.layer}' of torch-fidelity's extractor {network}"
    return unknown(accumulator), None, (note,)


def _edm2(path: Path, loaded: Mapping[Any, Any], checks: FileChecks) -> Stats:
    count = None if loaded.get("num_images") is None else checks.count(loaded["num_images"], "num_images")
    accumulators: dict[Need, Accumulator] = {}
    for key, (need, width) in _EDM2.items():
        if key not in loaded:
            continue
        held = loaded[key]
        if not isinstance(held, Mapping) or not {"mu", "sigma"} <= held.keys():
            found = listed(held.keys()) if isinstance(held, Mapping) else f"a {type(held).__name__}"
            checks.fail(f"{key!r} holds {found}, expected 'mu' and 'sigma'")
        names = (f"{key}.mu", f"{key}.sigma")
        accumulators[need] = checks.moments(held["mu"], held["sigma"], count, names, width)
    others = loaded.keys() - {"num_images", *_EDM2}
    notes = (f"the file also holds {listed(others)}, which was not read",) if others else ()
    return foreign_stats(path, "EDM2 pickle", accumulators, count, notes)


def _stylegan(path: Path, loaded: Mapping[Any, Any], checks: FileChecks) -> Stats:
    """``FeatureStats``: sums of features and of their outer products, and perhaps the features."""
    count = checks.count(loaded["num_items"], "num_items")
    accumulators: dict[Need, Accumulator] = {}
    notes = [stylegan_note(path.name)]
    if loaded.get("raw_mean") is not None:
        for key in {"raw_cov"} - loaded.keys():
            checks.fail(f"it holds {listed(loaded.keys())} and lacks {key!r}")
        total = torch.from_numpy(checks.floats(loaded["raw_mean"], "raw_mean", 1, "sums (d,)").astype(np.float64))
        square = checks.floats(loaded["raw_cov"], "raw_cov", 2, "sums of products (d, d)").astype(np.float64)
        if square.shape != (len(total), len(total)):
            checks.fail(f"'raw_mean' has {len(total)} values and 'raw_cov' is of shape {square.shape}")
        mean = total / count
        sigma = (torch.from_numpy(square) - count * torch.outer(mean, mean)) / (count - 1)
        accumulators[unknown("moments")] = checks.moments(
            mean.numpy(), sigma.numpy(), count, ("raw_mean", "raw_cov as a covariance")
        )
        notes.append(
            "the covariance is of the file's sums, divided by N - 1 as in every other tool; StyleGAN's own script "
            f"divides by N, so that its covariance is smaller by the factor {(count - 1) / count:.9g}"
        )
    blocks = loaded.get("all_features")
    if isinstance(blocks, list) and blocks:
        rows = np.concatenate([checks.floats(block, "all_features", 2, "features (n, d)") for block in blocks])
        if len(rows) != count:
            checks.fail(f"'all_features' holds {len(rows)} features, and 'num_items' says {count}; it was cut short")
        accumulators[unknown("feature_bank")] = checks.features(rows, "all_features")
    if not accumulators:
        checks.fail("it holds neither 'raw_mean' and 'raw_cov' nor 'all_features'; save it with capture_mean_cov")
    return foreign_stats(path, "StyleGAN pickle", accumulators, count, notes)
