"""pytorch-fid's ``inception`` module: the network of FID as ``nn.Module``, with maps of features and gradients.

The layers and the weights are genmetrics' own extractor's, so that features are those of the metrics ``fid_pytorch…``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from genmetrics.compat.pytorch_fid.speaking import tell, unofficial
from genmetrics.errors import GenmetricsWarning, UsageError
from genmetrics.extractors.builtin import PUBLISHED, InceptionV3TF2015
from genmetrics.extractors.inception_trunk import BlockA, BlockC, BlockE, average, maximum
from genmetrics.extractors.inception_v3 import InceptionV3 as Layers
from genmetrics.extractors.inception_v3_torchvision import InceptionV3TorchvisionIN1k
from genmetrics.extractors.published import PublishedExtractor
from genmetrics.preprocess.resize_torch import resize_torch_bilinear

__all__ = [
    "FID_WEIGHTS_URL",
    "FIDInceptionA",
    "FIDInceptionC",
    "FIDInceptionE_1",
    "FIDInceptionE_2",
    "InceptionV3",
    "fid_inception_v3",
]

_WEIGHTS = PUBLISHED["inception-v3.tf2015"]
#: Where pytorch-fid's weight file is published.
FID_WEIGHTS_URL = next(url for url in _WEIGHTS.urls.values() if "pytorch-fid" in url)

#: The layers of each block, by the names that they have in torchvision's network too; "max" halves the image.
_BLOCKS: tuple[tuple[str, ...], ...] = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "max"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "max"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c", "average"),
)
_SIDE = 299


class InceptionV3(nn.Module):
    """Inception-v3 as a module that returns maps of features.

    The layers have the names that they have in pytorch-fid's (``blocks.0.0.conv.weight``), so that state dicts fit in
    either direction. As any new module it is in training mode: call ``eval()``, as pytorch-fid's own functions do.

    Matches: pytorch-fid 0.3.0, features to 1e-5 and gradients to 1e-4 relative;
    tests/compat/pytorch_fid/test_inception.py.

    Attributes:
        blocks: the layers, as far as the last block that is asked for.
        output_blocks: the blocks whose maps ``forward`` returns, ascending.
        last_needed_block: the last of them.
        resize_input: whether images are resized to 299 x 299 first.
        normalize_input: whether images are brought from 0..1 to -1..1 first.
    """

    #: The block of the final average pooling.
    DEFAULT_BLOCK_INDEX: ClassVar[int] = 3
    #: The block that ends with so many channels.
    BLOCK_INDEX_BY_DIM: ClassVar[dict[int, int]] = {64: 0, 192: 1, 768: 2, 2048: 3}

    def __init__(
        self,
        output_blocks: Sequence[int] = (DEFAULT_BLOCK_INDEX,),
        resize_input: bool = True,
        normalize_input: bool = True,
        requires_grad: bool = False,
        use_fid_inception: bool = True,
    ) -> None:
        """Load the network.

        Args:
            output_blocks: which maps to return: 0 and 1 end with the two maximum poolings (64 and 192 channels), 2
                comes before the auxiliary classifier (768), 3 is the final average pooling (2048).
            resize_input: resize images to 299 x 299, bilinearly and without antialiasing.
            normalize_input: images are 0..1 and are brought to -1..1; False for images that are so already.
            requires_grad: whether the weights are trained. Gradients reach the images in either case.
            use_fid_inception: the network that published FIDs are of. False takes that of torchvision's
                weights of ImageNet, which gives other numbers.

        Raises:
            UsageError: if there is no block of such an index.
            WeightsError: if the weights are missing, damaged or refused.
        """
        super().__init__()
        self.resize_input = resize_input
        self.normalize_input = normalize_input
        self.output_blocks = _checked(output_blocks)
        self.last_needed_block = self.output_blocks[-1]
        network = fid_inception_v3() if use_fid_inception else _imagenet_inception()
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_layer(network, name) for name in names)) for names in _BLOCKS[: self.last_needed_block + 1]
        )
        self._trained = requires_grad
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad

    def forward(self, inp: Tensor) -> list[Tensor]:
        """The maps of the asked blocks, in ascending order of these.

        Args:
            inp: (n, 3, h, w) RGB images, 0..1, or -1..1 with ``normalize_input=False``.

        Returns:
            (n, c, h, w) for each block; (n, 2048, 1, 1) for the last.
        """
        if self.training and not self._trained:
            warnings.warn(
                "InceptionV3 is in training mode, so that its features depend on what else is in the batch, as in "
                "pytorch-fid; call model.eval() first (or pass requires_grad=True if you do train it)",
                GenmetricsWarning,
                stacklevel=2,
            )
        x = resize_torch_bilinear(inp, (_SIDE, _SIDE)) if self.resize_input else inp
        if self.normalize_input:
            x = 2 * x - 1
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.output_blocks:
                maps.append(x)
        return maps


class _FIDInception(Layers):
    """The network in torchvision's form: images in, logits out, and the pooling layers as modules."""

    def __init__(self) -> None:
        super().__init__()
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # torchvision's network takes images alone
        """The (n, 1008) logits of (n, 3, 299, 299) images, -1..1."""
        pooled = super().forward(x, ("2048",))["2048"]
        logits: Tensor = self.fc(self.dropout(pooled))
        return logits


class _WithWeights(InceptionV3TF2015):
    """Finds the published weights, or fetches them, for the network in torchvision's form."""

    module = _FIDInception


def fid_inception_v3() -> nn.Module:
    """The whole network of FID with its weights, under torchvision's names for its layers.

    As torchvision's it is in training mode and its weights require gradients.

    Returns:
        A module from (n, 3, 299, 299) images, -1..1, to (n, 1008) logits.

    Raises:
        WeightsError: if the weights are missing, damaged or refused.
    """
    return _new(_WithWeights).requires_grad_(True)


def _imagenet_inception() -> nn.Module:
    """The network with torchvision's weights of ImageNet, for which torchvision is not needed."""
    return _new(InceptionV3TorchvisionIN1k)


def _new(extractor: type[PublishedExtractor]) -> nn.Module:
    """A network as modules of torch begin, with a warning of weights that are not the published ones."""
    made = extractor(None)
    if made.weights.official is False:
        tell([unofficial(made.name, made.weights.sha256)])
    return made.network.train()


class FIDInceptionA(BlockA):
    """The block of 35x35 images, whose averages do not count the padding."""

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__(in_channels, pool_features, average)


class FIDInceptionC(BlockC):
    """The block of 17x17 images, likewise."""

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        super().__init__(channels_7x7, average, in_channels)


class FIDInceptionE_1(BlockE):
    """The first block of 8x8 images, likewise."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, average)


class FIDInceptionE_2(BlockE):
    """The second block of 8x8 images, which pools by maximum, as the network of 2015 does."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, maximum)


def _layer(network: nn.Module, name: str) -> nn.Module:
    if name == "max":
        return nn.MaxPool2d(kernel_size=3, stride=2)
    if name == "average":
        return nn.AdaptiveAvgPool2d(output_size=(1, 1))
    return network.get_submodule(name)


def _checked(output_blocks: Sequence[int]) -> list[int]:
    found = sorted(output_blocks)
    if not found or found[0] < 0 or found[-1] >= len(_BLOCKS):
        raise UsageError(
            f"output_blocks {output_blocks!r}: expected one or more of 0, 1, 2 and 3, such as "
            "[InceptionV3.BLOCK_INDEX_BY_DIM[2048]]"
        )
    return found
