"""Each preprocessing against the code that it is named for, from uint8 images to the network's input.

The peers: clean-fid 0.1.35, torchvision's transforms as dgm-eval and clean-fid's CLIP call them, torch-fidelity 0.4.0,
and for EDM2, CMMD and lzhbrian's ScoreModel, which are no packages, their steps. Tolerance: 1e-6 of the network's
input; reached with Pillow 13.0.0 and torch 2.13.0: bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genmetrics.preprocess.spec import PREPROCESS, get_preprocess
from support.peers import import_peer

cleanfid_resize = import_peer("cleanfid.resize")
fidelity_vgg16 = import_peer("torch_fidelity.feature_extractor_vgg16")
fidelity_clip = import_peer("torch_fidelity.feature_extractor_clip")
transforms = import_peer("torchvision.transforms")
transformers = import_peer("transformers")

# Height and width: enlarged and reduced, square and not; of an odd rest around the centre too. Pillow begins with
# the rows at all of them, whatever its version.
SIZES = [(64, 64), (97, 60), (180, 250), (512, 512), (301, 400), (225, 448)]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TOLERANCE = 1e-6
# Before any test makes others known.
BUILT_IN = frozenset(PREPROCESS)


def cleanfid_clean(image: np.ndarray) -> Tensor:
    resized = cleanfid_resize.build_resizer("clean")(image)
    # features.InceptionV3W: the (x - 128) / 128 inside the network.
    return (torch.from_numpy(resized).permute(2, 0, 1) - 128) / 128


def dgm_eval_dinov2(image: np.ndarray) -> Tensor:
    steps = [
        transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(np.array(IMAGENET[0]), np.array(IMAGENET[1])),
    ]
    return transforms.Compose(steps)(Image.fromarray(image))


def scoremodel_of_folders(image: np.ndarray) -> Tensor:
    """lzhbrian's is_fid_pytorch: ``scipy.misc.imresize`` was this resize of Pillow's, on 8 bits."""
    resized = np.asarray(Image.fromarray(image).resize((299, 299), Image.Resampling.BILINEAR)).astype(np.float32)
    return torch.from_numpy((-128 + resized) / 128.0).permute(2, 0, 1)


def edm2_dinov2(image: np.ndarray) -> Tensor:
    x = torch.from_numpy(image).permute(2, 0, 1)[None].to(torch.float32)
    x = F.interpolate(x, size=(224, 224), mode="bicubic", antialias=True) / 255
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in IMAGENET)
    return ((x - mean) / std)[0]


def cleanfid_clip(image: np.ndarray) -> Tensor:
    resize = transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC)
    cropped = transforms.CenterCrop(224)(resize(Image.fromarray(image)))
    x = torch.from_numpy(np.asarray(cropped).clip(0, 255).astype(np.uint8)).permute(2, 0, 1).to(torch.float32)
    return transforms.Normalize(*CLIP)(x / 255.0)


def transformers_clip(image: np.ndarray) -> Tensor:
    processor = transformers.CLIPImageProcessorPil()
    return processor([image], return_tensors="pt")["pixel_values"][0].to(torch.float32)


def cmmd(size: int) -> Callable[[np.ndarray], Tensor]:
    """The centre square of the official ``io_util``, then Pillow's bicubic, then CLIP's own normalisation."""

    def run(image: np.ndarray) -> Tensor:
        loaded = Image.fromarray(image)
        width, height = loaded.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = loaded.crop((left, top, left + side, top + side)).resize((size, size), resample=Image.BICUBIC)
        x = torch.from_numpy(np.array(square)).permute(2, 0, 1).to(torch.float32) / 255.0
        return transforms.Normalize(*CLIP)(x)

    return run


def fidelity(network: type, resolution: int) -> Callable[[np.ndarray], Tensor]:
    """What torch-fidelity's extractor gives to its network."""

    def run(image: np.ndarray) -> Tensor:
        own = torch.nn.Module()
        own.features_list = ["clip" if network is fidelity_clip.FeatureExtractorCLIP else "fc2"]
        own.feature_extractor_internal_dtype = torch.float32
        own.INPUT_IMAGE_SIZE = own.resolution = resolution
        given: list[Tensor] = []

        def keep(x: Tensor) -> Tensor:
            given.append(x)
            return x.flatten(1)

        own.model = keep
        if network is fidelity_clip.FeatureExtractorCLIP:
            own.model = torch.nn.Module()
            own.model.visual = keep
        network.forward(own, torch.from_numpy(image).permute(2, 0, 1)[None])
        return given[0][0]

    return run


VGG16, CLIP_OF_FIDELITY = fidelity_vgg16.FeatureExtractorVGG16, fidelity_clip.FeatureExtractorCLIP
CASES: dict[str, Callable[[np.ndarray], Tensor]] = {
    "pil-bicubic-f32-299": cleanfid_clean,
    "pil-bilinear-299": scoremodel_of_folders,
    "pil-bicubic-224-imagenet": dgm_eval_dinov2,
    "torch-bicubic-antialias-224": edm2_dinov2,
    "pil-bicubic-crop-224-clip": cleanfid_clip,
    "pil-bicubic-crop-224-clip-hf": transformers_clip,
    "square-pil-bicubic-224-clip": cmmd(224),
    "square-pil-bicubic-336-clip": cmmd(336),
    "tf1-bilinear-224-imagenet": fidelity(VGG16, 224),
    "tf1-bilinear-224-clip": fidelity(CLIP_OF_FIDELITY, 224),
    "tf1-bilinear-336-clip": fidelity(CLIP_OF_FIDELITY, 336),
}

# What each would be taken for most easily.
RIVALS = {
    "pil-bicubic-f32-299": ("tf1-bilinear-299", 0.01),
    "pil-bilinear-299": ("torch-bilinear-299", 0.001),
    "pil-bicubic-224-imagenet": ("torch-bicubic-antialias-224", 0.001),
    "torch-bicubic-antialias-224": ("pil-bicubic-224-imagenet", 0.001),
    "pil-bicubic-crop-224-clip": ("square-pil-bicubic-224-clip", 0.001),
    "pil-bicubic-crop-224-clip-hf": ("square-pil-bicubic-224-clip", 0.001),
    "square-pil-bicubic-224-clip": ("pil-bicubic-crop-224-clip", 0.001),
    "square-pil-bicubic-336-clip": ("tf1-bilinear-336-clip", 0.01),
    "tf1-bilinear-224-imagenet": ("pil-bicubic-224-imagenet", 0.01),
    "tf1-bilinear-224-clip": ("square-pil-bicubic-224-clip", 0.01),
    "tf1-bilinear-336-clip": ("square-pil-bicubic-336-clip", 0.01),
}


def an_image(smooth_images: Callable[..., np.ndarray], size: tuple[int, int]) -> np.ndarray:
    return smooth_images(1, *size, seed=size[0])[0]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", CASES)
def test_equals_the_peer(name, size, smooth_images) -> None:
    image = an_image(smooth_images, size)
    expected = CASES[name](image)
    ours = get_preprocess(name)(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
    assert ours.shape == expected.shape and expected.dtype == torch.float32
    difference = float((ours - expected).abs().max())
    print(name, size, difference)
    assert difference <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_its_rival_is_told_apart(name, smooth_images) -> None:
    """Negative control."""
    rival, least = RIVALS[name]
    image = an_image(smooth_images, SIZES[4])
    ours = get_preprocess(rival)(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
    difference = float((ours - CASES[name](image)).abs().mean())
    print(name, rival, difference)
    assert difference > least


def test_every_preprocessing_that_is_a_peers_is_here() -> None:
    elsewhere = {
        "tf1-bilinear-299",
        "torch-bilinear-299",
        "torch-bilinear-antialias-299",  # tests/compat/torchmetrics
        "crop875-bicubic-224",
        "native-sym",
        "native-255",
    }
    assert CASES.keys() | elsewhere == BUILT_IN
