"""FID of images that come one batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genmetrics.compat.cleanfid.distances import fid_from_feats
from genmetrics.compat.cleanfid.network import INCEPTION, DeviceLike, network_of
from genmetrics.compat.cleanfid.resize import three_channels
from genmetrics.errors import BadImageError, StatisticsError, UsageError
from genmetrics.sources.decode import BadImage, decode_image

__all__ = ["CleanFID"]


class CleanFID:
    """Keeps the features of real and generated images, and gives the FID between them.

    Attributes:
        real_features: of the real images, an (n, d) array of each call.
        gen_features: of the generated images.
        mode: whose resize it is.
        device: where the network runs.
        feat_model: the network.
    """

    def __init__(self, mode: str = "clean", model_name: str = INCEPTION, device: DeviceLike = "auto") -> None:
        """Find the network.

        Args:
            mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
            model_name: ``inception_v3`` or ``clip_vit_b_32``.
            device: where it runs; ``auto`` is a GPU where there is one.

        Raises:
            UsageError: if there is no such mode or model.
            WeightsError: if the weights are missing or refused.
        """
        self.real_features: list[np.ndarray] = []
        self.gen_features: list[np.ndarray] = []
        self.mode = mode
        self.feat_model = network_of(mode, model_name, device)
        self.device = self.feat_model.device

    def compute_features(self, x: Image.Image | np.ndarray | Tensor) -> np.ndarray:
        """The features of one image or a batch, (n, d).

        Args:
            x: a Pillow image of any mode; an array (h, w, 3) or (h, w); or a tensor (3, h, w) or (n, 3, h, w). Values
                are 0..255, uint8 or floats, which are not rounded.

        Raises:
            UsageError: if it is something else.
            BadImageError: if a Pillow image cannot be read.
        """
        return self.feat_model.of_any_size(_batch(x), self.mode).cpu().numpy()

    def add_real_images(self, x: Image.Image | np.ndarray | Tensor) -> None:
        """Add real images; see ``compute_features``."""
        self.real_features.append(self.compute_features(x))

    def add_gen_images(self, x: Image.Image | np.ndarray | Tensor) -> None:
        """Add generated images; see ``compute_features``."""
        self.gen_features.append(self.compute_features(x))

    def calculate_fid(self, verbose: bool = True) -> float:
        """The FID between the real and the generated images so far.

        Args:
            verbose: whether the numbers of images are printed.

        Raises:
            StatisticsError: if there are fewer than two on a side.
        """
        for name, kept in (("real", self.real_features), ("generated", self.gen_features)):
            if not kept:
                add = "add_real_images" if name == "real" else "add_gen_images"
                raise StatisticsError(f"no {name} images were added; call {add}(images) first")
        feats1, feats2 = np.concatenate(self.real_features), np.concatenate(self.gen_features)
        if verbose:
            print(f"# real images = {feats1.shape[0]}")
            print(f"# generated images = {feats2.shape[0]}")
        return fid_from_feats(feats1, feats2)

    def reset_real_features(self) -> None:
        """Forget all real images."""
        self.real_features = []

    def reset_gen_features(self) -> None:
        """Forget all generated images."""
        self.gen_features = []


def _batch(x: object) -> Tensor:
    """Any image, or batch, as (n, 3, h, w)."""
    if isinstance(x, Image.Image):
        try:
            x = decode_image(x, "drop").pixels
        except BadImage as error:
            raise BadImageError(f"an image cannot be read: {error}") from error
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "fu":
            raise UsageError(f"an image is {x.dtype}, expected uint8 or floats, 0..255")
        return _numbers(torch.from_numpy(np.array(three_channels(x).transpose(2, 0, 1), order="C"))[None])
    if isinstance(x, Tensor):
        batch = x[None] if x.ndim == 3 else x
        if batch.ndim != 4 or batch.shape[1] not in (1, 3, 4) or 0 in batch.shape:
            raise UsageError(f"images have shape {tuple(x.shape)}, expected (3, h, w) or (n, 3, h, w), 0..255")
        return _numbers(batch.expand(-1, 3, -1, -1) if batch.shape[1] == 1 else batch[:, :3])
    raise UsageError(f"an image is a {type(x).__name__}, expected a Pillow image, an array or a tensor")


def _numbers(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise UsageError(f"images are {images.dtype}, expected uint8 or floats, 0..255")
    if not bool(images.isfinite().all()):
        raise UsageError("images hold NaN or infinity")
    return images
