"""torchmetrics itself, with the network that it makes reading weights from a file, and images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from support.peers import import_peer


@pytest.fixture(scope="session")
def original(inception_weights: Path) -> Iterator[SimpleNamespace]:
    """torchmetrics 1.9.0's classes; its KID, IS and MiFID cannot be given weights, and are told in this way."""
    modules = {name: import_peer(f"torchmetrics.image.{name}") for name in ("fid", "kid", "inception", "mifid")}
    network = functools.partial(
        modules["fid"].NoTrainInceptionV3, feature_extractor_weights_path=str(inception_weights)
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("kid", "inception", "mifid"):
            patch.setattr(modules[name], "NoTrainInceptionV3", network)
        yield SimpleNamespace(
            Network=modules["fid"].NoTrainInceptionV3,
            FrechetInceptionDistance=modules["fid"].FrechetInceptionDistance,
            KernelInceptionDistance=modules["kid"].KernelInceptionDistance,
            InceptionScore=modules["inception"].InceptionScore,
            MemorizationInformedFrechetInceptionDistance=modules["mifid"].MemorizationInformedFrechetInceptionDistance,
        )


@pytest.fixture(scope="session")
def ours(original: SimpleNamespace) -> SimpleNamespace:
    """Our classes; torchmetrics can be imported once ``original`` is there."""
    from genmetrics.compat.torchmetrics import image
    from genmetrics.compat.torchmetrics.network import NoTrainInceptionV3

    return SimpleNamespace(Network=NoTrainInceptionV3, **{name: getattr(image, name) for name in image.__all__})


@pytest.fixture(scope="session")
def images(smooth_images: Callable[..., object]) -> Callable[..., Tensor]:
    """``images(count, seed, warmth=0.0, size=(40, 52))``: (n, 3, h, w) uint8."""

    def make(count: int, seed: int, warmth: float = 0.0, size: tuple[int, int] = (40, 52)) -> Tensor:
        return torch.from_numpy(smooth_images(count, *size, seed, warmth)).movedim(-1, 1).contiguous()

    return make
