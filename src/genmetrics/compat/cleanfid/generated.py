"""The features of images that a generator makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genmetrics.compat.cleanfid.passes import Way, features_of_batch, of_one_size, progress_of
from genmetrics.compat.cleanfid.utils import resized
from genmetrics.errors import UsageError
from genmetrics.types import Progress

__all__ = ["features_of_generator"]

#: Floats that are all within this of 0 are not of 0..255.
_NO_IMAGE = 1.5


def features_of_generator(
    generator: Callable[[Tensor], Tensor], way: Way, z_dim: int, num_gen: int, description: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """The features of generated images, and the noise of each.

    The noise is of torch's own generator on the CPU, so that ``torch.manual_seed`` decides on it.

    Args:
        generator: from (batch_size, z_dim) normal noise to as many images, (n, 3, h, w) or (n, 1, h, w), 0..255, uint8
            or floats, which are not rounded.
        way: how they become features.
        z_dim: the width of the noise.
        num_gen: how many images; of the last batch the rest is left out.
        description: for people.

    Raises:
        UsageError: if the numbers cannot be meant, or the generator gives something else.
    """
    for name, value in (("num_gen", num_gen), ("z_dim", z_dim)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is {value!r}, expected a whole number of at least 1")
    device = way.torch_device
    with progress_of(way, description) as show:
        show(Progress("gen", 0, num_gen, "generated images"))
        for start in range(0, num_gen, way.batch_size):
            wanted = min(way.batch_size, num_gen - start)
            with torch.no_grad():
                noise = torch.randn((way.batch_size, z_dim)).to(device)
                images = _checked(generator(noise), way.batch_size, first=start == 0)[:wanted]
            if way.network is not None:
                yield way.network.of_any_size(images, way.mode), noise[:wanted]
            else:
                parts = [_one_by_one(image, way) for image in images]
                batches = [features_of_batch(batch, way.model, device) for batch in of_one_size(parts)]
                yield torch.cat(batches), noise[:wanted]
            show(Progress("gen", start + wanted, num_gen, "generated images"))


def _one_by_one(image: Tensor, way: Way) -> Tensor:
    pixels = image.cpu() if image.dtype == torch.uint8 else image.to("cpu", torch.float32)
    return resized(pixels.permute(1, 2, 0).numpy(), way.transform, way.resize, way.mode)


def _checked(images: object, count: int, *, first: bool) -> Tensor:
    """A generator's batch, (n, 3, h, w)."""
    expected = f"expected a tensor ({count}, 3, h, w), 0..255, uint8 or floats"
    if not isinstance(images, Tensor):
        raise UsageError(f"the generator gave a {type(images).__name__}, {expected}")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[0] != count or shape[1] not in (1, 3) or 0 in shape:
        raise UsageError(f"the generator gave shape {shape} for {count} samples of noise, {expected}")
    if images.dtype == torch.uint8:
        return images.expand(-1, 3, -1, -1)
    if not images.is_floating_point():
        raise UsageError(f"the generator gave {images.dtype}, {expected}")
    low, high = float(images.min()), float(images.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError("the generator gave NaN or infinity")
    if first and max(abs(low), abs(high)) <= _NO_IMAGE:
        raise UsageError(
            f"the generator gave floats from {low:.3g} to {high:.3g}, which as 0..255 are black images; scale them, "
            "from -1..1 by (x + 1) * 127.5, from 0..1 by x * 255. Black images can be given as uint8"
        )
    return images.expand(-1, 3, -1, -1)
