"""Things that are registered with torch-fidelity and with ours under the same names: small, quick, and alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = "blocks-of-a-test"
SQUARES = "squares-of-a-test"
NOISE = "thirds-of-a-test"
WAY = "half-way-of-a-test"


def make_blocks(base: type) -> type:
    """A feature extractor as its user writes it, on the base class of either library."""

    class Blocks(base):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)
            values = torch.from_numpy(np.random.RandomState(3).standard_normal((12, 192)).astype(np.float32))
            self.classes = nn.Parameter(values / 8)

        @staticmethod
        def get_provided_features_list():
            return "mean", "grid", "classes"

        def get_default_feature_layer_for_metric(metric):
            return {"isc": "classes"}.get(metric, "grid")

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, x):
            pixels = F.adaptive_avg_pool2d(x.to(self.classes.dtype), 8)
            grid = pixels.flatten(1) / 64
            found = {"mean": pixels.mean(dim=(2, 3)), "grid": grid, "classes": (grid - 2) @ self.classes.T * 6}
            return tuple(found[name] for name in self.features_list)

    return Blocks


def make_squares(base: type) -> type:
    """A similarity of images as its user writes it."""

    class Squares(base):
        def __init__(self, name, sample_similarity_resize=None, sample_similarity_dtype=None, **kwargs):
            super().__init__(name)
            self.size, self.dtype = sample_similarity_resize, sample_similarity_dtype

        def forward(self, in0, in1):
            a, b = (F.adaptive_avg_pool2d(x.float(), self.size or x.shape[2]) for x in (in0, in1))
            return (a - b).square().mean(dim=(1, 2, 3))

    return Squares


def thirds(rng, shape):
    """Noise of three values."""
    return torch.from_numpy(rng.randint(-1, 2, shape).astype(np.float32))


def half_way(a, b, t):
    """From a on half the way to b."""
    return a + (b - a) * t / 2


@contextmanager
def registered(*libraries: ModuleType) -> Iterator[None]:
    """All of the above, in each library's registries."""
    tables = []
    for library in libraries:
        registry = __import__(f"{library.__name__}.registry", fromlist=["x"])
        library.register_feature_extractor(BLOCKS, make_blocks(library.FeatureExtractorBase))
        library.register_sample_similarity(SQUARES, make_squares(library.SampleSimilarityBase))
        library.register_noise_source(NOISE, thirds)
        library.register_interpolation(WAY, half_way)
        tables += [
            (registry.FEATURE_EXTRACTORS_REGISTRY, BLOCKS),
            (registry.SAMPLE_SIMILARITY_REGISTRY, SQUARES),
            (registry.NOISE_SOURCE_REGISTRY, NOISE),
            (registry.INTERPOLATION_REGISTRY, WAY),
        ]
    try:
        yield
    finally:
        for table, name in tables:
            del table[name]


class Generator(nn.Module):
    """From noise, and classes if it has any, to uint8 images."""

    def __init__(self, z_size: int, num_classes: int = 0, seed: int = 0, floats: bool = False) -> None:
        super().__init__()
        draws = np.random.RandomState(seed).standard_normal((z_size + num_classes, 3 * 16 * 16))
        self.weight = nn.Parameter(torch.from_numpy(draws.astype(np.float32)) * 20)
        self.num_classes, self.floats = num_classes, floats

    def forward(self, z, labels=None):
        if labels is not None:
            z = torch.cat((z, F.one_hot(labels, self.num_classes).float() * 2), dim=1)
        images = (z @ self.weight + 128).clamp(0, 255).reshape(-1, 3, 16, 16)
        return images if self.floats else images.to(torch.uint8)
