"""What TTUR's fid.py (73ab375) and improved-gan's model.py (4f5d1ec) make of features, transcribed."""

from __future__ import annotations

import numpy as np

__all__ = ["exact_distance", "inception_score"]


def inception_score(logits: np.ndarray, splits: int) -> tuple[float, float]:
    """Of logits without the bias."""
    logits = logits.astype(np.float64)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    count, scores = len(probabilities), []
    for split in range(splits):
        part = probabilities[split * count // splits : (split + 1) * count // splits]
        divergences = part * (np.log(part) - np.log(part.mean(axis=0)[None]))
        scores.append(np.exp(divergences.sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def exact_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance of two sets of fewer samples than dimensions, by singular values of the centred samples."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    first, second = ((rows - rows.mean(axis=0)) / (len(rows) - 1) ** 0.5 for rows in (one, other))
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    return float(shift + np.square(first).sum() + np.square(second).sum() - 2 * root)
