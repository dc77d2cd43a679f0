"""The layers that all Inception-v3 networks have in common, under the names of the published weight files."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmetrics.extractors.backends.folding import ConvNorms

__all__ = ["STAGES", "BlockA", "BlockC", "BlockE", "InceptionTrunk", "average", "average_with_padding", "maximum"]

Pool = Callable[[Tensor], Tensor]

#: The layers in order, up to each output's; "max" halves the image.
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("64", ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "max")),
    ("192", ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "max")),
    (
        "768",
        ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ),
    ("2048", ("Mixed_7a", "Mixed_7b", "Mixed_7c")),
)


class InceptionTrunk(nn.Module):
    """All layers but the last, which the networks that derive from it add with their outputs.

    Source: Szegedy et al. 2015 (arXiv:1512.00567).
    """

    def __init__(self, pool: Pool, last_pool: Pool) -> None:
        """Make the layers.

        Args:
            pool: of the branches that pool and keep the size.
            last_pool: the same of the last block.
        """
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = BlockA(192, 32, pool)
        self.Mixed_5c = BlockA(256, 64, pool)
        self.Mixed_5d = BlockA(288, 64, pool)
        self.Mixed_6a = _BlockB()
        self.Mixed_6b = BlockC(128, pool)
        self.Mixed_6c = BlockC(160, pool)
        self.Mixed_6d = BlockC(160, pool)
        self.Mixed_6e = BlockC(192, pool)
        self.Mixed_7a = _BlockD()
        self.Mixed_7b = BlockE(1280, pool)
        self.Mixed_7c = BlockE(2048, last_pool)

    def through(self, x: Tensor, layer: str) -> Tensor:
        """What a layer of ``STAGES`` makes of its input."""
        out: Tensor = F.max_pool2d(x, 3, stride=2) if layer == "max" else getattr(self, layer)(x)
        return out


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


def average(x: Tensor) -> Tensor:
    """3x3 averages that do not count the padding."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def average_with_padding(x: Tensor) -> Tensor:
    """3x3 averages that count the padding as zeros."""
    return F.avg_pool2d(x, 3, stride=1, padding=1)


def maximum(x: Tensor) -> Tensor:
    """3x3 maxima."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


class BlockA(nn.Module):
    """Of images of 35x35, with branches of one, 5x5 and two 3x3 convolutions."""

    def __init__(self, channels_in: int, width: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Conv(channels_in, 64, 1)
        self.branch5x5_1 = _Conv(channels_in, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(channels_in, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels one after another; the images keep their size."""
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                self.branch_pool(self.pool(x)),
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


class BlockC(nn.Module):
    """Of images of 17x17, with branches of 1x7 and 7x1 convolutions."""

    def __init__(self, width: int, pool: Pool, channels_in: int = 768) -> None:
        super().__init__()
        self.pool = pool
        row, column = (1, 7), (7, 1)
        along, down = (0, 3), (3, 0)
        self.branch1x1 = _Conv(channels_in, 192, 1)
        self.branch7x7_1 = _Conv(channels_in, width, 1)
        self.branch7x7_2 = _Conv(width, width, row, padding=along)
        self.branch7x7_3 = _Conv(width, 192, column, padding=down)
        self.branch7x7dbl_1 = _Conv(channels_in, width, 1)
        self.branch7x7dbl_2 = _Conv(width, width, column, padding=down)
        self.branch7x7dbl_3 = _Conv(width, width, row, padding=along)
        self.branch7x7dbl_4 = _Conv(width, width, column, padding=down)
        self.branch7x7dbl_5 = _Conv(width, 192, row, padding=along)
        self.branch_pool = _Conv(channels_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels one after another; the images keep their size."""
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
                self.branch_pool(self.pool(x)),
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


class BlockE(nn.Module):
    """Of images of 8x8, with branches that split in two."""

    def __init__(self, channels_in: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
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
        """The branches' channels one after another; the images keep their size."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(self.pool(x)),
            ),
            dim=1,
        )
