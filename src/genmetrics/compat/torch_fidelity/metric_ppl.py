"""Perceptual Path Length of a generator, with torch-fidelity's choices of noise, interpolation and similarity."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genmetrics.compat.torch_fidelity.adapters import model_of
from genmetrics.compat.torch_fidelity.registry import interpolation, noise_source, sample_similarity
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.compat.torch_fidelity.settings import Settings
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.registry import did_you_mean

__all__ = ["KEY_METRIC_PPL_MEAN", "KEY_METRIC_PPL_RAW", "KEY_METRIC_PPL_STD", "check_ppl", "path_lengths", "ppl_of"]

KEY_METRIC_PPL_MEAN = "perceptual_path_length_mean"
KEY_METRIC_PPL_STD = "perceptual_path_length_std"
KEY_METRIC_PPL_RAW = "perceptual_path_length_raw"

_REDUCTIONS = ("mean", "none")


def check_ppl(settings: Settings) -> None:
    """Refuse settings that cannot be meant, before anything is loaded.

    Raises:
        UsageError: naming the setting.
    """
    if not settings.ppl_epsilon > 0:
        raise UsageError(f"ppl_epsilon {settings.ppl_epsilon!r}: expected a number above 0, such as 1e-4")
    if settings.ppl_reduction not in _REDUCTIONS:
        raise UsageError(
            f"ppl_reduction {settings.ppl_reduction!r}: {did_you_mean(settings.ppl_reduction, list(_REDUCTIONS))}"
        )
    lower, higher = settings.ppl_discard_percentile_lower, settings.ppl_discard_percentile_higher
    for name, value in (("lower", lower), ("higher", higher)):
        if value is not None and not 0 < value < 100:
            raise UsageError(
                f"ppl_discard_percentile_{name} {value!r}: expected more than 0 and less than 100, or None"
            )
    if lower is not None and higher is not None and not lower < higher:
        raise UsageError(f"ppl_discard_percentile_lower {lower} is not below ppl_discard_percentile_higher {higher}")
    interpolation(settings.ppl_z_interp_mode)
    sample_similarity(settings.ppl_sample_similarity)
    count = settings.input1_model_num_samples
    if not isinstance(count, int) or count < 1:
        raise UsageError(
            f"input1_model_num_samples {count!r}: the Perceptual Path Length needs the number of steps to take, at "
            "least 1 (--input1-model-num-samples)"
        )


def ppl_of(settings: Settings, device: torch.device) -> dict[str, Any]:
    """Mean and spread of the lengths of small steps in the noise of ``input1``, after the percentiles are cut off.

    Args:
        settings: what ``calculate_metrics`` was told; see ``check_ppl``.
        device: where generator and similarity run.

    Returns:
        ``perceptual_path_length_mean`` and ``_std``, and with ``ppl_reduction="none"`` the (n,) lengths as ``_raw``.

    Source: Karras et al. 2019 (arXiv:1812.04948), section 4.1, in the noise (``z``) and from its starting point.
    Matches: torch-fidelity 0.4.0; tests/compat/torch_fidelity/test_ppl.py.
    """
    lengths = _without_extremes(
        path_lengths(settings, device),
        settings.ppl_discard_percentile_lower,
        settings.ppl_discard_percentile_higher,
    )
    found: dict[str, Any] = {
        KEY_METRIC_PPL_MEAN: float(np.mean(lengths)),
        KEY_METRIC_PPL_STD: float(np.std(lengths)),
    }
    if settings.ppl_reduction == "none":
        found[KEY_METRIC_PPL_RAW] = lengths
    return found


def path_lengths(settings: Settings, device: torch.device) -> np.ndarray:
    """The (n,) squared lengths of the steps: the similarity's distance over the step's square.

    Noise, the ends of the steps and, of a conditional generator, the classes are drawn in this order, each for all
    steps at once, from ``RandomState(rng_seed)``.

    Raises:
        UsageError: if ``input1`` is no generator.
        StatisticsError: if a length is NaN or infinite.
    """
    model = model_of(
        settings.input1,
        model_z_type=settings.input1_model_z_type,
        model_z_size=settings.input1_model_z_size,
        model_num_classes=settings.input1_model_num_classes,
    )
    count = typing.cast(int, settings.input1_model_num_samples)
    rng = np.random.RandomState(settings.rng_seed)  # torch-fidelity's generator
    draw = noise_source(model.z_type)
    starts, ends = (draw(rng, (count, model.z_size)) for _ in range(2))
    ends = interpolation(settings.ppl_z_interp_mode)(starts, ends, settings.ppl_epsilon)
    classes = None
    if model.num_classes > 0:
        classes = torch.from_numpy(rng.randint(0, model.num_classes, (count,)))
    make: Callable[..., SampleSimilarityBase] = sample_similarity(settings.ppl_sample_similarity)
    similarity = make(
        settings.ppl_sample_similarity,
        sample_similarity_resize=settings.ppl_sample_similarity_resize,
        sample_similarity_dtype=settings.ppl_sample_similarity_dtype,
        **{name: value for name, value in settings.as_dict().items() if name != "cuda"},
    )
    similarity = similarity.eval().to(device)
    model = model.to(device) if device.type == "cuda" else model
    found = []
    with torch.no_grad():
        for start in range(0, count, settings.batch_size):
            part = slice(start, start + settings.batch_size)
            pairs: Sequence[Tensor] = [torch.cat((starts[part], ends[part]))]
            if classes is not None:
                pairs = [*pairs, torch.cat((classes[part], classes[part]))]
            images = model(*(values.to(device) for values in pairs))
            first, second = images.chunk(2)
            found.append((similarity(first, second) / settings.ppl_epsilon**2).cpu().numpy())
    lengths = np.concatenate(found)
    if not np.isfinite(lengths).all():
        place = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise StatisticsError(f"the length of step {place} is {lengths[place]}; look at the images of the generator")
    return lengths


def _without_extremes(lengths: np.ndarray, lower: int | float | None, higher: int | float | None) -> np.ndarray:
    """The lengths between two percentiles, both of which are lengths that occur and stay."""
    kept = np.ones(len(lengths), dtype=bool)
    if lower is not None:
        kept &= lengths >= np.percentile(lengths, lower, method="lower")
    if higher is not None:
        kept &= lengths <= np.percentile(lengths, higher, method="higher")
    return lengths[kept]
