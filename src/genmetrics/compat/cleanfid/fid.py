"""clean-fid's ``fid`` module: FID and KID of folders and generators against folders and known sets.

``device`` is ``auto`` where clean-fid has ``cuda``: a GPU where there is one, else the CPU. Every function computes by
itself in the process that calls it, whatever other processes there are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from genmetrics import distributed
from genmetrics.compat.cleanfid.custom_stats import make_custom_stats, remove_custom_stats, test_stats_exists
from genmetrics.compat.cleanfid.distances import DEFAULT_SEED, fid_from_feats, frechet_distance, kernel_distance
from genmetrics.compat.cleanfid.feature_sets import (
    announced,
    array_of_images,
    get_batch_features,
    get_files_features,
    get_folder_features,
    get_model_features,
)
from genmetrics.compat.cleanfid.features import build_feature_extractor, get_reference_statistics
from genmetrics.compat.cleanfid.generated import features_of_generator
from genmetrics.compat.cleanfid.images import PathLike
from genmetrics.compat.cleanfid.network import INCEPTION, DeviceLike
from genmetrics.compat.cleanfid.passes import FeatureModel, way_of
from genmetrics.compat.cleanfid.resize import build_resizer, make_resizer
from genmetrics.compat.cleanfid.sides import (
    Generator,
    KnownSet,
    check_sides,
    folder_to_folder,
    folder_to_set,
    generator_to_folder,
    generator_to_set,
    say_if,
)
from genmetrics.compat.cleanfid.utils import Transform

__all__ = [
    "build_feature_extractor",
    "build_resizer",
    "compare_folders",
    "compute_fid",
    "compute_kid",
    "fid_folder",
    "fid_from_feats",
    "fid_model",
    "frechet_distance",
    "get_batch_features",
    "get_files_features",
    "get_folder_features",
    "get_model_features",
    "get_reference_statistics",
    "kernel_distance",
    "make_custom_stats",
    "make_resizer",
    "remove_custom_stats",
    "test_stats_exists",
]


@distributed.alone()
def compute_fid(
    fdir1: PathLike | None = None,
    fdir2: PathLike | None = None,
    gen: Generator | None = None,
    mode: str = "clean",
    model_name: str = INCEPTION,
    num_workers: int = 12,
    batch_size: int = 32,
    device: DeviceLike = "auto",
    dataset_name: str = "FFHQ",
    dataset_res: int | str = 1024,
    dataset_split: str = "train",
    num_gen: int = 50_000,
    z_dim: int = 512,
    custom_feat_extractor: FeatureModel | None = None,
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
    custom_fn_resize: Transform | None = None,
    use_dataparallel: bool = True,
) -> float:
    """The FID of two folders, of a folder or a generator against a folder, or against the statistics of a known set.

    Args:
        fdir1: a folder of images, or a zip archive.
        fdir2: the folder to compare with; without it the statistics of ``dataset_name`` are.
        gen: in place of ``fdir1`` a generator, see ``get_model_features``.
        mode: ``clean`` (our ``fid_clean``), ``legacy_tensorflow`` (``fid``) or ``legacy_pytorch`` (``fid_pytorch``).
        model_name: ``inception_v3``, or ``clip_vit_b_32`` (``clip_fid``).
        num_workers: the most threads, or with functions of yours processes, that decode.
        batch_size: images that go through the network, or are generated, at once.
        device: where it runs.
        dataset_name: of the known set.
        dataset_res: its resolution.
        dataset_split: its split, or ``custom`` for statistics of ``make_custom_stats``.
        num_gen: how many images are generated.
        z_dim: the width of the generator's noise.
        custom_feat_extractor: a network in place of the model's: from (n, 3, h, w) images, 0..255, to (n, d) features.
        verbose: whether progress is shown.
        custom_image_tranform: what each image undergoes before the resize, from (h, w, 3), 0..255, to the same.
        custom_fn_resize: in place of the mode's resize.
        use_dataparallel: is taken and changes nothing: one device is used.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    check_sides(fdir1, fdir2, gen)
    way = way_of(
        custom_feat_extractor,
        model_name,
        mode,
        device,
        custom_image_tranform,
        custom_fn_resize,
        batch_size,
        num_workers,
        verbose,
    )
    known = KnownSet(dataset_name, dataset_res, dataset_split, model_name)
    if fdir1 is not None and fdir2 is not None:
        say_if(verbose, "compute FID between two folders")
        return folder_to_folder(fdir1, fdir2, way)
    if fdir1 is not None:
        say_if(verbose, f"compute FID of a folder with {dataset_name} statistics")
        return folder_to_set(fdir1, known, way)
    assert gen is not None
    if fdir2 is not None:
        say_if(verbose, "compute FID of a model, using references in fdir2")
        return generator_to_folder(gen, fdir2, way, z_dim, num_gen)
    say_if(verbose, f"compute FID of a model with {dataset_name}-{dataset_res} statistics")
    return generator_to_set(gen, known, way, z_dim, num_gen)


@distributed.alone()
def compute_kid(
    fdir1: PathLike | None = None,
    fdir2: PathLike | None = None,
    gen: Generator | None = None,
    mode: str = "clean",
    num_workers: int = 12,
    batch_size: int = 32,
    device: DeviceLike = "auto",
    dataset_name: str = "FFHQ",
    dataset_res: int | str = 1024,
    dataset_split: str = "train",
    num_gen: int = 50_000,
    z_dim: int = 512,
    verbose: bool = True,
    use_dataparallel: bool = True,
    *,
    seed: int = DEFAULT_SEED,
) -> float:
    """The KID of the same pairs as ``compute_fid``: the mean over 100 pairs of subsets of at most 1,000 images.

    Args:
        fdir1: as in ``compute_fid``, and so are the other arguments.
        fdir2: the folder to compare with.
        gen: in place of ``fdir1`` a generator.
        mode: ``clean`` (our ``kid_clean``), ``legacy_tensorflow`` (``kid``) or ``legacy_pytorch``.
        num_workers: the most threads that decode.
        batch_size: images that go through the network, or are generated, at once.
        device: where it runs.
        dataset_name: of the known set.
        dataset_res: its resolution.
        dataset_split: its split, or ``custom``.
        num_gen: how many images are generated.
        z_dim: the width of the generator's noise.
        verbose: whether progress is shown.
        use_dataparallel: is taken and changes nothing.
        seed: of the draws of the subsets, which clean-fid leaves to NumPy's own generator.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    check_sides(fdir1, fdir2, gen)
    way = way_of(None, INCEPTION, mode, device, None, None, batch_size, num_workers, verbose)
    known = KnownSet(dataset_name, dataset_res, dataset_split)

    def of_folder(fdir: PathLike) -> np.ndarray:
        return array_of_images(announced(fdir, verbose), way, f"KID {Path(fdir).name} : ")

    def of_set() -> np.ndarray:
        return known.features(mode).rows().numpy()

    def of_generator() -> np.ndarray:
        assert gen is not None
        found = features_of_generator(gen, way, z_dim, num_gen, "KID model: ")
        return torch.cat([features.cpu() for features, _ in found]).numpy()

    if fdir1 is not None and fdir2 is not None:
        say_if(verbose, "compute KID between two folders")
        feats1, feats2 = of_folder(fdir1), of_folder(fdir2)
    elif fdir1 is not None:
        say_if(verbose, f"compute KID of a folder with {dataset_name} statistics")
        feats1, feats2 = of_set(), of_folder(fdir1)
    elif fdir2 is not None:
        say_if(verbose, "compute KID of a model, using references in fdir2")
        feats1, feats2 = of_folder(fdir2), of_generator()
    else:
        say_if(verbose, f"compute KID of a model with {dataset_name}-{dataset_res} statistics")
        feats1, feats2 = of_set(), of_generator()
    return kernel_distance(feats1, feats2, seed=seed)


@distributed.alone()
def fid_folder(
    fdir: PathLike,
    dataset_name: str,
    dataset_res: int | str,
    dataset_split: str,
    model: FeatureModel | None = None,
    mode: str = "clean",
    model_name: str = INCEPTION,
    num_workers: int = 12,
    batch_size: int = 128,
    device: DeviceLike = "auto",
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
    custom_fn_resize: Transform | None = None,
) -> float:
    """The FID of a folder against the statistics of a known set; arguments as in ``compute_fid``.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(
        model, model_name, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose
    )
    return folder_to_set(fdir, KnownSet(dataset_name, dataset_res, dataset_split, model_name), way)


@distributed.alone()
def fid_model(
    G: Generator,
    dataset_name: str,
    dataset_res: int | str,
    dataset_split: str,
    model: FeatureModel | None = None,
    model_name: str = INCEPTION,
    z_dim: int = 512,
    num_gen: int = 50_000,
    mode: str = "clean",
    num_workers: int = 0,
    batch_size: int = 128,
    device: DeviceLike = "auto",
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
    custom_fn_resize: Transform | None = None,
) -> float:
    """The FID of a generator against the statistics of a known set; arguments as in ``compute_fid``.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(
        model, model_name, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose
    )
    return generator_to_set(G, KnownSet(dataset_name, dataset_res, dataset_split, model_name), way, z_dim, num_gen)


@distributed.alone()
def compare_folders(
    fdir1: PathLike,
    fdir2: PathLike,
    feat_model: FeatureModel | None = None,
    mode: str = "clean",
    num_workers: int = 0,
    batch_size: int = 8,
    device: DeviceLike = "auto",
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
    custom_fn_resize: Transform | None = None,
) -> float:
    """The FID of two folders; arguments as in ``compute_fid``, ``feat_model`` None for the mode's network.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(
        feat_model, INCEPTION, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose
    )
    return folder_to_folder(fdir1, fdir2, way)
