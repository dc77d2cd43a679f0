"""What vq measures, in our terms: the network and its weights, and how images come to it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from genmetrics.compat.vq.overrides import BATCH_SIZE, NUM_WORKERS, Overrides
from genmetrics.preprocess.spec import with_crop
from genmetrics.types import AlphaPolicy

__all__ = [
    "ALPHA",
    "AUTOCAST_NOTE",
    "CROP",
    "CROPPED",
    "INCEPTION",
    "METRIC",
    "PLAIN",
    "WEIGHTS",
    "device_of",
    "settings",
    "strategy",
    "weights_here",
    "weights_note",
]

#: Pillow's bicubic resize of the shorter side to 256 and the centre of that, in 8 bits.
CROP = "pil-bicubic-256"
#: Transparency is composited on white.
ALPHA: AlphaPolicy = "white"
METRIC = "fid_pytorch"
INCEPTION = "inception-v3.tf2015"
PLAIN = "torch-bilinear-299"
CROPPED = with_crop(CROP, PLAIN)
#: Where todd has the network's weights, below the current folder.
WEIGHTS = Path("pretrained/pytorch-fid/pt_inception.pth")
#: What to say of bfloat16.
AUTOCAST_NOTE = "--autocast: the network runs in bfloat16, and its numbers are not those that are published"
_STRATEGIES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_TRAINING = ("base", "ddp", "fsdp", "deepspeed")


def weights_here() -> Path | None:
    """Todd's weight file if it is there; None for wherever genmetrics finds its own."""
    return WEIGHTS if WEIGHTS.is_file() else None


def weights_note() -> tuple[str, ...]:
    """What to say of the weights, if they are todd's."""
    return (f"weights: '{WEIGHTS}'",) if WEIGHTS.is_file() else ()


def strategy(text: str) -> str:
    """``--strategy`` as a device; for argparse.

    Raises:
        ArgumentTypeError: if it names none.
    """
    if _STRATEGIES.fullmatch(text):
        return text
    hint = "; processes share the images in any case, under auto_torchrun" if text in _TRAINING else ""
    raise argparse.ArgumentTypeError(f"{text!r}: expected cuda, cuda:N, cpu, mps or auto{hint}")


def device_of(given: str | None) -> str:
    """The device of a strategy: without one a GPU where there is any, else the CPU."""
    if given is not None and given != "auto":
        return given
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def settings(device: str, autocast: bool, overrides: Overrides) -> dict[str, Any]:
    """How ``compute_stats`` and ``evaluate`` are to read and compute."""
    return {
        "weights": weights_here(),
        "device": device,
        "precision": "bf16" if autocast else "exact",
        "batch_size": overrides.number(BATCH_SIZE, 1),
        "workers": overrides.number(NUM_WORKERS, 0),
        "alpha": ALPHA,
        "crop": CROP,
    }
