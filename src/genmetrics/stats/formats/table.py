"""The formats of statistics files that can be read, as data for lists and documents."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMATS", "StatsFormat"]


@dataclass(frozen=True)
class StatsFormat:
    """One format.

    Attributes:
        name: what the record of statistics from it calls it.
        summary: who writes it.
        extensions: what its files are usually called; recognised is the content.
        holds: the keys by which it is recognised.
        states: what it says of its statistics; all else is unknown.
    """

    name: str
    summary: str
    extensions: tuple[str, ...]
    holds: str
    states: str


_NOTHING = "nothing"
_COUNT = "the number of images"

FORMATS: tuple[StatsFormat, ...] = (
    StatsFormat("genmetrics safetensors", "genmetrics", (".safetensors",), "our header", "everything"),
    StatsFormat("genmetrics npz", "genmetrics", (".npz",), "mu, sigma or feats; genmetrics", "everything"),
    StatsFormat(
        "genmetrics pth",
        "genmetrics, for todd and vq.fid",
        (".pth",),
        "todd.tasks.image_generation.fid.Statistics; genmetrics.json",
        "everything",
    ),
    StatsFormat(
        "mu-sigma npz",
        "TTUR, pytorch-fid, clean-fid, pytorch-gan-metrics, lzhbrian/metrics, EDM, MAR",
        (".npz",),
        "mu, sigma",
        _NOTHING,
    ),
    StatsFormat(
        "ADM reference npz",
        "ADM (guided-diffusion)",
        (".npz",),
        "mu, sigma, mu_s, sigma_s",
        "inception-v3.tf2015/2048 and 2023/tf1-bilinear-299",
    ),
    StatsFormat("feats npz", "clean-fid's KID statistics", (".npz",), "feats", _COUNT),
    StatsFormat("pool_3 npz", "score_sde", (".npz",), "pool_3", _COUNT),
    StatsFormat("mu-sigma npy", "pytorch-gan-metrics", (".npy",), "a dict of mu, sigma", _NOTHING),
    StatsFormat("features npy", "CMMD and others", (".npy",), "floats (n, d)", _COUNT),
    StatsFormat("mu-sigma pickle", "anyone", (".pkl",), "a dict or pair of mu, sigma", _NOTHING),
    StatsFormat("features pickle", "anyone", (".pkl",), "floats (n, d)", _COUNT),
    StatsFormat("mu-sigma torch file", "anyone", (".pt", ".pth"), "a dict or pair of mu, sigma", _NOTHING),
    StatsFormat("features torch file", "anyone", (".pt", ".pth"), "floats (n, d)", _COUNT),
    StatsFormat(
        "torch-fidelity statistics",
        "torch-fidelity's cache, {name}-{extractor}-stat-fid-{layer}.pt",
        (".pt",),
        "a dict of mu, sigma",
        "by its name, if the extractor is inception-v3-compat: inception-v3.tf2015/{layer}/tf1-bilinear-299",
    ),
    StatsFormat(
        "torch-fidelity features",
        "torch-fidelity's cache, {name}-{extractor}-features-{layer}.pt",
        (".pt",),
        "floats (n, d)",
        "the number of images; by its name, if the extractor is inception-v3-compat: "
        "inception-v3.tf2015/{layer}/tf1-bilinear-299",
    ),
    StatsFormat("StyleGAN pickle", "StyleGAN2-ADA, StyleGAN3", (".pkl",), "num_items, raw_mean, raw_cov", _COUNT),
    StatsFormat(
        "EDM2 pickle",
        "EDM2",
        (".pkl",),
        "num_images, fid, fd_dinov2",
        "the number of images; inception-v3.tf2015/2048/tf1-bilinear-299 and "
        "dinov2-vitl14.lvd142m/cls/torch-bicubic-antialias-224",
    ),
    StatsFormat(
        "todd statistics",
        "todd and vq.fid",
        (".pth",),
        "todd.tasks.image_generation.fid.Statistics",
        "inception-v3.tf2015/2048/torch-bilinear-299",
    ),
)
