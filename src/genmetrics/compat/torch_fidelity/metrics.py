"""torch-fidelity's ``calculate_metrics`` on our engine."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from genmetrics.cli.progress import showing_progress
from genmetrics.compat.torch_fidelity.adapters import source_of
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.metric_ppl import check_ppl, ppl_of
from genmetrics.compat.torch_fidelity.plan import COMPARING, OF_FEATURES, asked_of, figures_of
from genmetrics.compat.torch_fidelity.settings import Settings, with_new_names
from genmetrics.engine.evaluate import evaluate
from genmetrics.engine.networks import resolve_device
from genmetrics.engine.sides import SourceLike
from genmetrics.errors import GenmetricsWarning, UsageError
from genmetrics.report.report import Report

__all__ = ["calculate_metrics"]

#: What the figures are called for people, and which of them stand on one line.
_LINES: Mapping[str, tuple[str, ...]] = {
    "Inception Score": ("inception_score_mean", "inception_score_std"),
    "Frechet Inception Distance": ("frechet_inception_distance",),
    "Kernel Inception Distance": ("kernel_inception_distance_mean", "kernel_inception_distance_std"),
    "Precision": ("precision",),
    "Recall": ("recall",),
    "F-score": ("f_score",),
    "Monge Inception Distance": ("monge_inception_distance",),
    "Perceptual Path Length": ("perceptual_path_length_mean", "perceptual_path_length_std"),
}


def calculate_metrics(
    input1: str | Path | Dataset[Any] | GenerativeModelBase | SourceLike | None = Settings.input1,
    input2: str | Path | Dataset[Any] | GenerativeModelBase | SourceLike | None = Settings.input2,
    *,
    cuda: bool = Settings.cuda,
    batch_size: int = Settings.batch_size,
    isc: bool = Settings.isc,
    fid: bool = Settings.fid,
    kid: bool = Settings.kid,
    prc: bool = Settings.prc,
    ppl: bool = Settings.ppl,
    mind: bool = Settings.mind,
    feature_extractor: str | None = Settings.feature_extractor,
    feature_layer_isc: str | None = Settings.feature_layer_isc,
    feature_layer_fid: str | None = Settings.feature_layer_fid,
    feature_layer_kid: str | None = Settings.feature_layer_kid,
    feature_layer_prc: str | None = Settings.feature_layer_prc,
    feature_layer_mind: str | None = Settings.feature_layer_mind,
    feature_extractor_weights_path: str | None = Settings.feature_extractor_weights_path,
    feature_extractor_internal_dtype: str | None = Settings.feature_extractor_internal_dtype,
    feature_extractor_compile: bool = Settings.feature_extractor_compile,
    isc_splits: int = Settings.isc_splits,
    kid_subsets: int = Settings.kid_subsets,
    kid_subset_size: int = Settings.kid_subset_size,
    kid_kernel: str = Settings.kid_kernel,
    kid_kernel_poly_degree: int | float = Settings.kid_kernel_poly_degree,
    kid_kernel_poly_gamma: int | float | None = Settings.kid_kernel_poly_gamma,
    kid_kernel_poly_coef0: int | float = Settings.kid_kernel_poly_coef0,
    kid_kernel_rbf_sigma: int | float = Settings.kid_kernel_rbf_sigma,
    ppl_epsilon: int | float = Settings.ppl_epsilon,
    ppl_reduction: str = Settings.ppl_reduction,
    ppl_sample_similarity: str = Settings.ppl_sample_similarity,
    ppl_sample_similarity_resize: int | None = Settings.ppl_sample_similarity_resize,
    ppl_sample_similarity_dtype: str | None = Settings.ppl_sample_similarity_dtype,
    ppl_discard_percentile_lower: int | float | None = Settings.ppl_discard_percentile_lower,
    ppl_discard_percentile_higher: int | float | None = Settings.ppl_discard_percentile_higher,
    ppl_z_interp_mode: str = Settings.ppl_z_interp_mode,
    prc_neighborhood: int = Settings.prc_neighborhood,
    prc_batch_size: int = Settings.prc_batch_size,
    mind_num_projections: int = Settings.mind_num_projections,
    samples_shuffle: bool = Settings.samples_shuffle,
    samples_find_deep: bool = Settings.samples_find_deep,
    samples_find_ext: str = Settings.samples_find_ext,
    samples_ext_lossy: str | None = Settings.samples_ext_lossy,
    samples_resize_and_crop: int = Settings.samples_resize_and_crop,
    datasets_root: str | None = Settings.datasets_root,
    datasets_download: bool = Settings.datasets_download,
    cache_root: str | None = Settings.cache_root,
    cache: bool = Settings.cache,
    input1_cache_name: str | None = Settings.input1_cache_name,
    input1_model_z_type: str = Settings.input1_model_z_type,
    input1_model_z_size: int | None = Settings.input1_model_z_size,
    input1_model_num_classes: int = Settings.input1_model_num_classes,
    input1_model_num_samples: int | None = Settings.input1_model_num_samples,
    input2_cache_name: str | None = Settings.input2_cache_name,
    input2_model_z_type: str = Settings.input2_model_z_type,
    input2_model_z_size: int | None = Settings.input2_model_z_size,
    input2_model_num_classes: int = Settings.input2_model_num_classes,
    input2_model_num_samples: int | None = Settings.input2_model_num_samples,
    rng_seed: int = Settings.rng_seed,
    save_cpu_ram: bool = Settings.save_cpu_ram,
    verbose: bool = Settings.verbose,
    fid_statistics_file: str | None = Settings.fid_statistics_file,
    kid_degree: int | float | None = None,
    kid_gamma: int | float | None = None,
    kid_coef0: int | float | None = None,
) -> dict[str, Any]:
    """Compute metrics of ``input1``, alone or against ``input2``.

    All come from one pass over the images of each input, whatever feature extractors they use. Under an initialised
    ``torch.distributed`` each process reads its share of the images, and all return the same.

    Args:
        input1: the generated images: the name of a registered dataset, a folder, a generator in an ``.onnx`` or
            TorchScript ``.pth`` file, a torch ``Dataset`` of (3, h, w) uint8 tensors, a ``GenerativeModelBase``, or
            anything else that ``genmetrics.evaluate`` takes, such as a zip file or statistics.
        input2: the real images, likewise.
        cuda: compute on the first CUDA device, if there is one, and on the CPU otherwise.
        batch_size: images that go through a network or a generator at once.
        isc: the Inception Score of ``input1``.
        fid: the Fréchet Inception Distance of the two.
        kid: the Kernel Inception Distance.
        prc: precision and recall.
        ppl: the Perceptual Path Length of the generator ``input1``.
        mind: the Monge Inception Distance.
        feature_extractor: a registered one for all metrics of features; None takes each metric's own:
            ``inception-v3-compat``, and ``vgg16`` for ``prc``.
        feature_layer_isc: the layer of it for this metric; None takes the extractor's own choice.
        feature_layer_fid: likewise.
        feature_layer_kid: likewise.
        feature_layer_prc: likewise.
        feature_layer_mind: likewise.
        feature_extractor_weights_path: a weight file in place of the published one, which is the Inception network's
            where several networks run.
        feature_extractor_internal_dtype: ``float32`` or ``float64``.
        feature_extractor_compile: compile a registered extractor that can be; built-in ones run on our own engines.
        isc_splits: parts of the images, each of which has a score.
        kid_subsets: pairs of random subsets.
        kid_subset_size: images in each.
        kid_kernel: ``poly``, (γ x·y + c)ⁿ, or ``rbf``, exp(−‖x − y‖²/2σ²).
        kid_kernel_poly_degree: n.
        kid_kernel_poly_gamma: γ; None for one over the number of features.
        kid_kernel_poly_coef0: c.
        kid_kernel_rbf_sigma: σ.
        ppl_epsilon: the length of a step, as a part of the way between two points of noise.
        ppl_reduction: ``mean``, or ``none`` to have the length of every step as well.
        ppl_sample_similarity: a registered similarity of images.
        ppl_sample_similarity_resize: the side to which it brings images; None leaves them.
        ppl_sample_similarity_dtype: the type of image that it insists on, such as ``uint8``; None takes any.
        ppl_discard_percentile_lower: leave out lengths below this percentile; None for none.
        ppl_discard_percentile_higher: leave out lengths above this percentile; None for none.
        ppl_z_interp_mode: a registered interpolation.
        prc_neighborhood: neighbours that a ball reaches to.
        prc_batch_size: has no effect: distances are made in tiles that fit the processor.
        mind_num_projections: directions.
        samples_shuffle: permute the images before they are split for the Inception Score.
        samples_find_deep: read the subfolders of a folder too.
        samples_find_ext: extensions of images in folders, with commas between.
        samples_ext_lossy: extensions of which a note is made, since compression alters the metrics.
        samples_resize_and_crop: the side of a square to which the images of a folder are brought; 0 leaves them.
        datasets_root: where registered datasets are, or are put.
        datasets_download: fetch those that are not there.
        cache_root: where statistics are kept; None for our own cache folder. What is kept is known by the content that
            it was made of.
        cache: keep statistics, and use those that are kept.
        input1_cache_name: has no effect: no name is needed to know the images again.
        input1_model_z_type: a registered source of noise, for a generator in a file.
        input1_model_z_size: the size of its noise.
        input1_model_num_classes: how many classes a generator in a file takes; 0 for none.
        input1_model_num_samples: how many images a generator makes.
        input2_cache_name: as for ``input1``.
        input2_model_z_type: as for ``input1``.
        input2_model_z_size: as for ``input1``.
        input2_model_num_classes: as for ``input1``.
        input2_model_num_samples: as for ``input1``.
        rng_seed: of every random choice. Generators on both sides get the same noise, as in torch-fidelity.
        save_cpu_ram: has no effect: no features are kept that are not needed.
        verbose: tell on standard error what is done and found.
        fid_statistics_file: statistics of real images for ``fid`` in place of ``input2``, of any known format.
        kid_degree: the former name of ``kid_kernel_poly_degree``.
        kid_gamma: the former name of ``kid_kernel_poly_gamma``.
        kid_coef0: the former name of ``kid_kernel_poly_coef0``.

    Returns:
        A float for each figure, under torch-fidelity's ``KEY_METRIC_…`` names: ``inception_score_mean`` and ``_std``,
        ``frechet_inception_distance``, ``kernel_inception_distance_mean`` and ``_std``, ``precision``, ``recall``,
        ``f_score``, ``monge_inception_distance``, ``perceptual_path_length_mean`` and ``_std``, and of lengths that are
        not reduced an array, ``perceptual_path_length_raw``.

    Raises:
        GenmetricsError: see ``genmetrics.errors``; most of them are ``ValueError`` as well, as torch-fidelity's are.

    Matches: torch-fidelity 0.4.0; tests/compat/torch_fidelity/test_metrics.py, and docs/compat/torch-fidelity.md for
    how far.
    """
    given = dict(locals())
    former = {name: given.pop(name) for name in ("kid_degree", "kid_gamma", "kid_coef0")}
    given |= with_new_names({name: value for name, value in former.items() if value is not None})
    return _calculate(Settings(**given))


def _calculate(settings: Settings) -> dict[str, Any]:
    asked = [name for name in OF_FEATURES if getattr(settings, name)]
    _check_inputs(settings, asked)
    if settings.ppl:
        check_ppl(settings)
    device = _device(settings)
    found: dict[str, Any] = {}
    if asked:
        report = _measured(settings, device)
        for name in OF_FEATURES:
            if name in report.metrics:
                found |= figures_of(report.metrics[name])
        for note in report.warnings:
            _tell(settings, f"note: {note}")
    if settings.ppl:
        found |= ppl_of(settings, resolve_device(device))
    for title, keys in _LINES.items():
        if keys[0] in found:
            _tell(settings, f"{title}: " + " ± ".join(f"{found[key]:.7g}" for key in keys))
    return found


def _measured(settings: Settings, device: str) -> Report:
    """All metrics of features, from one pass over each input."""
    gen = _source(settings, 1, device)
    ref: SourceLike | None = None
    if settings.input2 is not None:
        ref = _source(settings, 2, device)
    elif settings.fid_statistics_file is not None and settings.fid:
        ref = f"stats:{settings.fid_statistics_file}"
    asked = asked_of(settings, gen)
    with showing_progress(not settings.verbose) as progress:
        return evaluate(
            gen,
            ref if any(name in COMPARING for name in asked.metrics) else None,
            list(asked.metrics.values()),
            weights={
                name: path for network in asked.networks.values() for name, path in network.weights_option.items()
            },
            device=device,
            batch_size=settings.batch_size,
            seed=settings.rng_seed,
            cache=_cache(settings),
            error_bars="off",
            progress=progress,
        )


def _source(settings: Settings, number: int, device: str) -> SourceLike:
    return source_of(
        getattr(settings, f"input{number}"),
        model_z_type=getattr(settings, f"input{number}_model_z_type"),
        model_z_size=getattr(settings, f"input{number}_model_z_size"),
        model_num_classes=getattr(settings, f"input{number}_model_num_classes"),
        model_num_samples=getattr(settings, f"input{number}_model_num_samples"),
        batch_size=settings.batch_size,
        rng_seed=settings.rng_seed,
        device=device,
        samples_find_deep=settings.samples_find_deep,
        samples_find_ext=settings.samples_find_ext,
        samples_ext_lossy=settings.samples_ext_lossy,
        samples_resize_and_crop=settings.samples_resize_and_crop,
        datasets_root=settings.datasets_root,
        datasets_download=settings.datasets_download,
        slot=f"input{number}",
    )


def _check_inputs(settings: Settings, asked: list[str]) -> None:
    """Refuse what cannot be computed, in the order in which torch-fidelity does."""
    if not asked and not settings.ppl:
        raise UsageError(
            "no metric was asked for; at least one of isc, fid, kid, prc, ppl and mind must be True (--isc, --fid, …)"
        )
    if settings.input1 is None:
        raise UsageError("input1 is needed for all metrics, and none was given (--input1)")
    comparing = [name for name in asked if name in COMPARING]
    if settings.input2 is None and comparing and (comparing != ["fid"] or settings.fid_statistics_file is None):
        needing = next(name for name in comparing if name != "fid" or settings.fid_statistics_file is None)
        raise UsageError(
            f"{needing!r} compares with a second input, and none was given; add input2 (--input2)"
            + (", or for 'fid' alone a file of statistics: fid_statistics_file" if needing == "fid" else "")
        )
    if settings.fid_statistics_file is None:
        return
    if not settings.fid:
        raise UsageError("fid_statistics_file was given, and 'fid' was not asked for; leave one out or add the other")
    if settings.input2 is not None:
        warnings.warn(
            f"input2 was given beside fid_statistics_file; FID is computed against input2, and "
            f"'{settings.fid_statistics_file}' is not used",
            GenmetricsWarning,
            stacklevel=4,
        )


def _device(settings: Settings) -> str:
    if not settings.cuda:
        return "cpu"
    if resolve_device("auto").type == "cuda":
        return "cuda"
    _tell(settings, "note: no CUDA device was found; the CPU computes")
    return "cpu"


def _cache(settings: Settings) -> bool | Path:
    if not settings.cache or settings.cache_root is None:
        return settings.cache
    # Apart from the files that torch-fidelity keeps there, which are known by a name alone.
    return Path(settings.cache_root).expanduser() / "genmetrics"


def _tell(settings: Settings, text: str) -> None:
    if settings.verbose:
        print(text, file=sys.stderr)
