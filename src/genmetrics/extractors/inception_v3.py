"""The Inception-v3 of 2015 behind FID, KID and the Inception Score, as published for PyTorch.

It differs from torchvision's: 1,008 classes, average pooling that does not count the padding, maximum pooling
in the last block, and no auxiliary head. The names of the parameters are those of the published weight files.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genmetrics.extractors.backends.folding import ConvNorms

__all__ = ["InceptionV3"]

_STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("64", ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "max")),
    ("192", ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "max")),
    (
        "768",
        ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ),
    ("2048", ("Mixed_7a", "Mixed_7b", "Mixed_7c")),
)
_HEAD = ("logits_unbiased", "logits")
# What the graph calls mixed_6/conv is the first branch of this block.
_SPATIAL_LAYER, _SPATIAL_CHANNELS = "Mixed_6d", 7


class InceptionV3(nn.Module):
    """Inception-v3 with the weights' published layout and all seven outputs.

    Source: Szegedy et al. 2015 (arXiv:1512.00567); graph ``classify_image_graph_def.pb`` of 2015-12-05.
    Matches: TensorFlow's operators (tests/conformance/test_tensorflow_goldens.py), torch-fidelity 0.4.0 and
    pytorch-fid 0.3.0 (tests/conformance/test_peers_network.py).
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB()
        self.Mixed_6b = _BlockC(128)
        self.Mixed_6c = _BlockC(160)
        self.Mixed_6d = _BlockC(160)
        self.Mixed_6e = _BlockC(192)
        self.Mixed_7a = _BlockD()
        self.Mixed_7b = _BlockE(1280, last=False)
        self.Mixed_7c = _BlockE(2048, last=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, inputs: Float[Tensor, "n 3 299 299"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs, and no layer beyond the last of them.

        Args:
            inputs: (n, 3, 299, 299) float32 (another type where the convolutions are of it), normalised to about -1..1.
            wanted: from ``64 192 768 2048`` (globally average-pooled layers), ``2023`` (seven channels of a
                17x17 layer, unpooled), ``logits`` and ``logits_unbiased`` (1,008 classes, with and without the
                bias).

        Returns:
            (n, d) for each wanted output; float32, or float64 where the convolutions are, but under autocast.
        """
        missing = set(wanted)
        found: dict[str, Tensor] = {}
        x = inputs
        for name, layers in _STAGES:
            for layer in layers:
                if layer == _SPATIAL_LAYER and "2023" in missing:
                    found["2023"] = _spatial(self.Mixed_6d.branch1x1(x))
                    if missing.issubset(found):
                        return found
                x = F.max_pool2d(x, 3, stride=2) if layer == "max" else getattr(self, layer)(x)
            if name in missing or (name == "2048" and missing.intersection(_HEAD)):
                found[name] = F.adaptive_avg_pool2d(_exact(x), 1).flatten(1)
            if missing.issubset(found):
                return found
        pooled = found["2048"]
        found["logits_unbiased"] = pooled @ self.fc.weight.T.to(pooled.dtype)
        if "logits" in missing:
            found["logits"] = found["logits_unbiased"] + self.fc.bias.to(pooled.dtype)
        return {name: found[name] for name in found if name in missing}


def _spatial(x: Float[Tensor, "n 192 17 17"]) -> Float[Tensor, "n 2023"]:
    """ADM's spatial features: the first channels, flattened with the channel running fastest, as TensorFlow has it."""
    return _exact(x)[:, :_SPATIAL_CHANNELS].movedim(1, -1).flatten(1)


def _exact(x: Tensor) -> Tensor:
    """In float32 at least: what the statistics are made of is not rounded to fewer digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Conv(ConvNorms):
    """Convolution, batch normalisation with epsilon 0.001, ReLU."""

    conv_norms = (("conv", "bn"),)

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(self.bn(self.conv(x)), inplace=True)
        return out


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(nn.Module):
    def __init__(self, channels_in: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 64, 1)
        self.branch5x5_1 = _Conv(channels_in, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(channels_in, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                self.branch_pool(_average(x)),
            ),
            dim=1,
        )


class _BlockB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = _Conv(288, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(288, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)), dim=1)


class _BlockC(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        along, down = (0, 3), (3, 0)
        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1 = _Conv(768, width, 1)
        self.branch7x7_2 = _Conv(width, width, row, padding=along)
        self.branch7x7_3 = _Conv(width, 192, column, padding=down)
        self.branch7x7dbl_1 = _Conv(768, width, 1)
        self.branch7x7dbl_2 = _Conv(width, width, column, padding=down)
        self.branch7x7dbl_3 = _Conv(width, width, row, padding=along)
        self.branch7x7dbl_4 = _Conv(width, width, column, padding=down)
        self.branch7x7dbl_5 = _Conv(width, 192, row, padding=along)
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
                self.branch_pool(_average(x)),
            ),
            dim=1,
        )


class _BlockD(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(768, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(768, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        long = self.branch7x7x3_2(self.branch7x7x3_1(x))
        return torch.cat(
            (
                self.branch3x3_2(self.branch3x3_1(x)),
                self.branch7x7x3_4(self.branch7x7x3_3(long)),
                F.max_pool2d(x, 3, stride=2),
            ),
            dim=1,
        )


class _BlockE(nn.Module):
    """The 8x8 block; the last of the two pools by maximum, a quirk of the 2015 graph."""

    def __init__(self, channels_in: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.branch1x1 = _Conv(channels_in, 320, 1)
        self.branch3x3_1 = _Conv(channels_in, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Conv(channels_in, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(channels_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.last else _average(x)
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ),
            dim=1,
        )
