"""From image files to numbers on CLIP and DINOv2, against the peers' own steps on one seeded set of weights.

Peers: clean-fid 0.1.35's preprocessing and openai-clip 1.0.1's network for `clip_fid`, clipscore.py's steps on
openai-clip for `clip_score`, torchmetrics 1.9.0's function for `clip_score_100`, dgm-eval's and EDM2's preprocessing
for `fd_dinov2`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import genmetrics as gm
from genmetrics.accumulators.moments import Moments
from genmetrics.extractors.base import load_extractor
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import frechet_distance
from support.openai_clip import openai_b32, openai_tokens
from support.peers import import_peer
from support.weights import CLIP_SIZES, DINOV2_SIZES, clip_hub_shapes, dinov2_hub_shapes, random_state_dict

transforms = import_peer("torchvision.transforms")
clip_scores = import_peer("torchmetrics.functional.multimodal.clip_score")

B32, VITS = "clip-vit-b32.openai", "dinov2-vits14.lvd142m"
CAPTIONS = ["a red circle", "two dogs on a beach, at sunset", "nothing much", "stripes", "a cat in a hat", "the sea"]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.bin"
    state = random_state_dict(clip_hub_shapes(*CLIP_SIZES[B32]))
    # Turned round, so that most of these images and captions have an angle below 90 degrees.
    state["visual_projection.weight"] *= -1
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / "dinov2.safetensors"
    save_file(random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES[VITS])), path)
    return path


@pytest.fixture(scope="module")
def openai(clip_file: Path) -> torch.nn.Module:
    return openai_b32(clip_file)


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(6, 250, 230, seed=11), image_folder(7, 100, 140, seed=12)


def pictures(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]


def clean_fid_inputs(images: Sequence[Image.Image]) -> Tensor:
    """``img_preprocess_clip`` and the normalisation of ``CLIP_fx``."""
    resize = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
        ]
    )
    arrays = [np.asarray(resize(image)).clip(0, 255).astype(np.uint8) for image in images]
    return transforms.Normalize(CLIP_MEAN, CLIP_STD)(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255.0)


def distance(gen: Tensor, ref: Tensor) -> float:
    moments = []
    for rows in (gen, ref):
        moments.append(Moments(rows.shape[1]))
        moments[-1].update(rows, torch.arange(len(rows)))
    return frechet_distance(*moments)


def test_clip_fid(folders, clip_file, openai):
    found = gm.evaluate(*folders, ["clip_fid"], weights={B32: clip_file}, device="cpu")["clip_fid"].value
    with torch.no_grad():
        sides = [openai.encode_image(clean_fid_inputs(pictures(folder))) for folder in folders]
    expected = distance(*sides)
    print("clip_fid", found, expected, abs(found / expected - 1))
    assert found == pytest.approx(expected, rel=TOLERANCE)
    normalised = distance(*(side / side.norm(dim=1, keepdim=True) for side in sides))
    assert found != pytest.approx(normalised, rel=100 * TOLERANCE), "the embeddings are not normalised"


def test_clip_score(folders, clip_file, openai):
    """clipscore.py: both sides of unit length, 2.5 times the cosine, negative ones as 0, and its prompt."""
    report = gm.evaluate(folders[0], None, ["clip_score"], captions=CAPTIONS, weights={B32: clip_file}, device="cpu")

    def expected(captions: Sequence[str], prompt: str) -> np.ndarray:
        with torch.no_grad():
            images = openai.encode_image(clean_fid_inputs(pictures(folders[0])))
            texts = openai.encode_text(openai_tokens([prompt + text for text in captions]))
        images, texts = (side / side.norm(dim=1, keepdim=True) for side in (images, texts))
        return 2.5 * np.clip((images * texts).sum(dim=1).numpy(), 0, None)

    published = expected(CAPTIONS, "A photo depicts ").mean()
    print("clip_score", report["clip_score"].value, published)
    assert report["clip_score"].value == pytest.approx(published, rel=TOLERANCE, abs=1e-7)
    assert report["clip_score"].value != pytest.approx(expected(CAPTIONS, "").mean(), rel=100 * TOLERANCE)
    assert report["clip_score"].value != pytest.approx(
        expected(CAPTIONS[::-1], "A photo depicts ").mean(), rel=100 * TOLERANCE
    )


def test_clip_score_100(folders, clip_file, openai, monkeypatch):
    """torchmetrics' function, given OpenAI's network by its own hook for that; images go through CLIP's processor."""
    clip_images = import_peer("transformers").CLIPImageProcessorPil()
    info = replace(METRICS.get("clip_score_100"), id="on_b32", extractor=B32)
    monkeypatch.setitem(METRICS._entries, "on_b32", info)
    report = gm.evaluate(folders[0], None, ["on_b32"], captions=CAPTIONS, weights={B32: clip_file}, device="cpu")

    def processor(images: Sequence[Tensor] | None = None, text: Sequence[str] = (), **_: object) -> dict[str, Tensor]:
        if images is not None:
            shown = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
            return {"pixel_values": clip_images(shown, return_tensors="pt")["pixel_values"]}
        tokens = openai_tokens(text)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}

    class Model(torch.nn.Module):
        config = None

        def get_image_features(self, pixel_values: Tensor) -> Tensor:
            return openai.encode_image(pixel_values)

        def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return openai.encode_text(input_ids)

    def peer(captions: list[str]) -> float:
        images = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in pictures(folders[0])]
        with torch.no_grad():
            return float(clip_scores.clip_score(images, captions, lambda: (Model(), processor)))

    expected = peer(CAPTIONS)
    print("clip_score_100", report["on_b32"].value, expected)
    assert report["on_b32"].value == pytest.approx(expected, rel=TOLERANCE, abs=1e-4)
    assert abs(report["on_b32"].value - peer(CAPTIONS[::-1])) > 1e-2


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def dgm_eval_inputs(folder: Path) -> Tensor:
    # Rows first, as Pillow up to 12 does it by itself.
    widened = [image.resize((224, image.height), Image.BICUBIC) for image in pictures(folder)]
    arrays = [np.asarray(image.resize((224, 224), Image.BICUBIC)) for image in widened]
    return transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)(
        torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255
    )


def edm2_inputs(folder: Path) -> Tensor:
    resized = [
        torch.nn.functional.interpolate(
            torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float(), (224, 224), mode="bicubic", antialias=True
        )
        for image in pictures(folder)
    ]
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (torch.cat(resized) / 255 - mean) / std


@pytest.mark.parametrize(
    ("name", "inputs", "other"),
    [("fd_dinov2", dgm_eval_inputs, edm2_inputs), ("fd_dinov2_edm2", edm2_inputs, dgm_eval_inputs)],
)
def test_fd_dinov2(folders, dinov2_file, monkeypatch, name, inputs, other):
    """On the smallest of the networks, whose equality with timm's is shown in test_networks_dinov2.py."""
    monkeypatch.setitem(METRICS._entries, "on_vits", replace(METRICS.get(name), id="on_vits", extractor=VITS))
    found = gm.evaluate(*folders, ["on_vits"], weights={VITS: dinov2_file}, device="cpu")["on_vits"].value
    network = load_extractor(VITS, dinov2_file)
    expected, control = (
        distance(*(network.run(make(folder), ["cls"])["cls"] for folder in folders)) for make in (inputs, other)
    )
    print(name, found, expected, control)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(control, rel=1e-6)
