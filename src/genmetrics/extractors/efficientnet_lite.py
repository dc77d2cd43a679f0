"""EfficientNet-Lite0, whose ImageNet weights come inside a package.

The names of the parameters are those of the packaged weight file.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genmetrics.extractors.backends.folding import ConvNorms

__all__ = ["EfficientNetLite0"]

# (repeats, kernel, stride of the first, expansion, channels in, channels out)
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


class EfficientNetLite0(ConvNorms):
    """EfficientNet-Lite0: no squeeze-and-excitation, ReLU6 throughout.

    Source: Tan and Le 2019 (arXiv:1905.11946), TensorFlow's ``efficientnet/lite``.
    Matches: ``efficientnet_lite_pytorch`` 0.1.0; tests/extractors/test_efficientnet_lite.py.
    """

    conv_norms = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, 32, 3, stride=2)
        self._bn0 = _norm(32)
        blocks = []
        for repeats, kernel, stride, expansion, channels_in, channels_out in _STAGES:
            blocks.append(_Block(channels_in, channels_out, kernel, stride, expansion))
            blocks.extend(_Block(channels_out, channels_out, kernel, 1, expansion) for _ in range(repeats - 1))
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _SameConv(320, 1280, 1)
        self._bn1 = _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, inputs: Float[Tensor, "n 3 224 224"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs.

        Args:
            inputs: (n, 3, 224, 224) float32 (bfloat16 where the convolutions are), normalised to about -1..1.
            wanted: from ``1280`` (globally average-pooled features) and ``logits`` (1,000 classes).

        Returns:
            (n, d) for each wanted output; float32 but under autocast.
        """
        missing = set(wanted)
        x = F.relu6(self._bn0(self._conv_stem(inputs)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        found = {"1280": F.adaptive_avg_pool2d(x.float(), 1).flatten(1)}
        if "logits" in missing:
            found["logits"] = self._fc(found["1280"])
        return {name: found[name] for name in found if name in missing}


class _Block(ConvNorms):
    conv_norms: tuple[tuple[str, str], ...] = (
        ("_depthwise_conv", "_bn1"),
        ("_project_conv", "_bn2"),
        ("_expand_conv", "_bn0"),
    )

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self._expands = expansion != 1
        if not self._expands:
            self.conv_norms = _Block.conv_norms[:2]
        self._skips = stride == 1 and channels_in == channels_out
        if self._expands:
            self._expand_conv = _SameConv(channels_in, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _SameConv(wide, channels_out, 1)
        self._bn2 = _norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        out: Tensor = self._bn2(self._project_conv(y))
        return x + out if self._skips else out


class _SameConv(nn.Conv2d):
    """TensorFlow's SAME padding: at stride 2 the odd pixel goes to the right and the bottom."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for length in (x.shape[3], x.shape[2]):
            stride, kernel = self.stride[0], self.kernel_size[0]
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=0.001)
