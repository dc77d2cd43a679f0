"""What the name of a file says, where that is part of the format of the tool that wrote it."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["FidelityName", "clean_fid_note", "fidelity_name", "stylegan_note"]

_FIDELITY_EXTRACTORS = (
    "inception-v3-compat",
    "vgg16",
    "clip-rn50",
    "clip-rn101",
    "clip-rn50x4",
    "clip-rn50x16",
    "clip-rn50x64",
    "clip-vit-b-32",
    "clip-vit-b-16",
    "clip-vit-l-14",
    "clip-vit-l-14-336px",
    "dinov2-vit-s-14",
    "dinov2-vit-b-14",
    "dinov2-vit-l-14",
    "dinov2-vit-g-14",
)
_FIDELITY = re.compile(r"(?P<rest>.+)-(?P<what>stat-fid|features)-(?P<layer>.+)\.pt")
_CLEAN_FID = re.compile(
    r".+_(?P<mode>clean|legacy_tensorflow|legacy_pytorch)(?P<model>_clip_vit_b_32)?_[^_]+_[^_]+?(_kid)?\.npz"
)
_STYLEGAN = re.compile(r".+?-(?P<detector>inception(?:-v3)?-2015-12-05|[^-]+)-[0-9a-f]{32}\.pkl")
_CLEAN_FID_MODES = {
    "clean": "Pillow's antialiased bicubic, as pil-bicubic-f32-299 has it",
    "legacy_tensorflow": "TensorFlow 1's bilinear, as tf1-bilinear-299 has it",
    "legacy_pytorch": "torch's bilinear, as torch-bilinear-299 has it",
}


class FidelityName(NamedTuple):
    """What the name of a file in torch-fidelity's cache says.

    Attributes:
        extractor: that tool's name of the network; None if it is not one of its own.
        layer: the name of the network's output.
        features: whether the file is of features, and not of their mean and covariance.
    """

    extractor: str | None
    layer: str
    features: bool


def fidelity_name(name: str) -> FidelityName | None:
    """The parts of ``{name}-{extractor}-stat-fid-{layer}.pt`` or ``…-features-{layer}.pt``; None of any other name."""
    match = _FIDELITY.fullmatch(name)
    if match is None:
        return None
    known = [extractor for extractor in _FIDELITY_EXTRACTORS if match["rest"].endswith(f"-{extractor}")]
    return FidelityName(max(known, key=len, default=None), match["layer"], match["what"] == "features")


def clean_fid_note(name: str) -> str | None:
    """What a name of clean-fid's form says, which nothing in the file confirms."""
    match = _CLEAN_FID.fullmatch(name.lower())
    if match is None:
        return None
    clip = "CLIP ViT-B/32, as pil-bicubic-crop-224-clip feeds it"
    network = clip if match["model"] else f"Inception, {_CLEAN_FID_MODES[match['mode']]}"
    return (
        f"by its name, the file may be of clean-fid's mode '{match['mode']}' ({network}); nothing in the file "
        "confirms that"
    )


def stylegan_note(name: str) -> str:
    """What a name of StyleGAN's form, ``{dataset}-{detector}-{md5}.pkl``, says."""
    match = _STYLEGAN.fullmatch(name)
    if match is None:
        return "StyleGAN names the network in the name of its cache files only, and this name is not of that form"
    return (
        f"by its name, the file may be of the detector '{match['detector']}'; nothing in the file confirms that "
        "(StyleGAN feeds 'inception-2015-12-05' with tf1-bilinear-299)"
    )
