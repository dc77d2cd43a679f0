"""LPIPS on VGG16 under torch-fidelity's name for it."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

from genmetrics.compat.torch_fidelity.helpers import check_settings, text_to_dtype
from genmetrics.compat.torch_fidelity.networks import network_of
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.errors import UsageError
from genmetrics.extractors.lpips import LPIPS
from genmetrics.precision import computing_at

__all__ = ["SampleSimilarityLPIPS"]

_TYPES = ("uint8", "float32")


class SampleSimilarityLPIPS(SampleSimilarityBase):
    """LPIPS 0.1 on VGG16 of images in 0..255, resized first if that is wanted.

    Matches: torch-fidelity 0.4.0 within 1e-5 relative; tests/compat/torch_fidelity/test_lpips_class.py.
    """

    def __init__(
        self,
        name: str,
        sample_similarity_resize: int | None = None,
        sample_similarity_dtype: str | None = None,
        **settings: object,
    ) -> None:
        """Load the network: torchvision's VGG16, and the heads of the package lpips.

        Args:
            name: under which the class is registered.
            sample_similarity_resize: height and width at which images are compared; None leaves them as they are.
            sample_similarity_dtype: the type that images must have, ``uint8`` or ``float32``; None for either.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if an option cannot be meant.
            WeightsError: if there are no weights.
            DependencyError: if the package lpips is not installed.
        """
        super().__init__(name)
        check_settings(settings)
        if sample_similarity_dtype not in (*_TYPES, None):
            raise UsageError(f"sample_similarity_dtype is {sample_similarity_dtype!r}; expected 'uint8' or 'float32'")
        if sample_similarity_resize is not None and sample_similarity_resize < 1:
            raise UsageError(f"sample_similarity_resize is {sample_similarity_resize}; expected a side such as 64")
        self.sample_similarity_resize = sample_similarity_resize
        self.sample_similarity_dtype = sample_similarity_dtype
        self.net = cast(LPIPS, network_of("lpips-vgg16.v0.1", None))
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    def normalize(x: Tensor) -> Float32[Tensor, "n 3 h w"]:
        """0..255 to the -1..1 that LPIPS takes, whose own normalisation per channel is in the network."""
        return x.float() / 127.5 - 1

    @staticmethod
    def resize(x: Float32[Tensor, "n 3 h w"], size: int) -> Float32[Tensor, "n 3 size size"]:
        """To a square: by the mean of areas if both sides are longer, else bilinear."""
        if min(x.shape[2:]) > size:
            return F.interpolate(x, (size, size), mode="area")
        return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)

    def forward(self, in0: Tensor, in1: Tensor) -> Float32[Tensor, " n"]:
        """The distance of each pair.

        Args:
            in0: (n, 3, h, w), 0..255, uint8 or float32.
            in1: likewise.

        Raises:
            UsageError: if these are no such images.
        """
        first, second = (self._prepared(images, number) for number, images in enumerate((in0, in1)))
        with computing_at("exact", first.device):
            distances: Tensor = self.net(first, second)
        return distances

    def _prepared(self, images: object, number: int) -> Tensor:
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != 3:
            given = tuple(images.shape) if isinstance(images, Tensor) else f"a {type(images).__name__}"
            raise UsageError(f"input {number} of sample similarity {self.name!r} is {given}; expected (n, 3, h, w)")
        if self.sample_similarity_dtype is not None and images.dtype != text_to_dtype(self.sample_similarity_dtype):
            dtype = str(images.dtype).removeprefix("torch.")
            raise UsageError(
                f"input {number} of sample similarity {self.name!r} is {dtype}, and sample_similarity_dtype is "
                f"{self.sample_similarity_dtype!r}; let the generator give that, or give "
                f"ppl_sample_similarity_dtype={dtype if dtype in _TYPES else None!r}"
            )
        values = self.normalize(images)
        return values if self.sample_similarity_resize is None else self.resize(values, self.sample_similarity_resize)
