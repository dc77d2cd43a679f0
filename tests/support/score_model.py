"""What lzhbrian/metrics' ``is_fid_pytorch.py`` (7f2f99c) computes, transcribed: the original runs on no current SciPy.

torchvision's own network and functional resize, SciPy's entropy and matrix root, NumPy's mean and covariance.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from support.peers import import_peer

__all__ = ["folder_tensor", "frechet", "inception_score", "network", "outputs", "single_divergences"]


def network(weights: Path, mode: int) -> nn.Module:
    """torchvision's network, which maps images normalised as the mode says to logits."""
    inception = import_peer("torchvision.models.inception")
    with torch.device("meta"):
        made = inception.inception_v3(aux_logits=False, transform_input=mode == 1, init_weights=False)
    made.load_state_dict(torch.load(weights), assign=True)
    return made.eval()


def outputs(net: nn.Module, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features and class probabilities, as float64."""
    pooled: list[Tensor] = []
    hook = net.fc.register_forward_hook(lambda _module, inputs, _output: pooled.append(inputs[0].clone()))
    probabilities = []
    with torch.no_grad():
        for batch in images.split(8):
            resized = F.interpolate(batch, size=(299, 299), mode="bilinear", align_corners=False)
            probabilities.append(F.softmax(net(resized), dim=1))
    hook.remove()
    return torch.cat(pooled).numpy().astype(np.float64), torch.cat(probabilities).numpy().astype(np.float64)


def inception_score(probabilities: np.ndarray, n_split: int) -> tuple[float, float]:
    """Over splits of N // n_split images; the rest is left out."""
    from scipy.stats import entropy

    size = len(probabilities) // n_split
    scores = []
    for split in range(n_split):
        part = probabilities[split * size : (split + 1) * size]
        marginal = part.mean(axis=0)
        scores.append(np.exp(np.mean([entropy(row, marginal) for row in part])))
    return float(np.mean(scores)), float(np.std(scores))


def single_divergences(probabilities: np.ndarray) -> list[float]:
    """Of each image from the mean of all."""
    from scipy.stats import entropy

    return [float(entropy(row, probabilities.mean(axis=0))) for row in probabilities]


def frechet(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """With SciPy's matrix root, whose real part is taken."""
    from scipy import linalg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of singular products, which fewer images than dimensions give
        root = linalg.sqrtm(sigma1 @ sigma2)
    return float(np.square(mu1 - mu2).sum() + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root.real))


def folder_tensor(files: list[Path]) -> Tensor:
    """Images of files as the original makes them for ``mode=2``: SciPy's imresize was Pillow's 8-bit resize."""
    rows = []
    for file in files:
        resized = Image.open(file).convert("RGB").resize((299, 299), Image.Resampling.BILINEAR)
        rows.append((np.asarray(resized).astype(np.float32) - 128) / 128)
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)
