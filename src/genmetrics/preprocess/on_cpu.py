"""Preprocessing on a CPU: images one by one, so that each stays in a core's cache, and in several threads.

All of it computes in NumPy, which starts no threads of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32

__all__ = ["normalise", "share_out"]

#: Fewer images than this are not worth another thread.
_LEAST_A_THREAD = 3


def share_out(count: int, threads: int, work: Callable[[slice], None]) -> None:
    """Do some work on so many images, each thread on as many in a row.

    Args:
        count: how many there are.
        threads: how many may be used at once, the calling one included.
        work: what is done with a part of the images; it must not touch what other parts do.
    """
    parts = max(1, min(threads, count // _LEAST_A_THREAD))
    bounds = [count * part // parts for part in range(parts + 1)]
    slices = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
    if parts == 1:
        work(slices[0])
        return
    with ThreadPoolExecutor(parts - 1, thread_name_prefix="genmetrics-preprocess") as pool:
        others = [pool.submit(work, part) for part in slices[1:]]
        work(slices[0])
        for other in others:
            other.result()


def normalise(
    image: Float32[np.ndarray, "3 h w"],
    divisor: float,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> None:
    """``(image / divisor - mean) / std`` per channel, in place, every operation rounded to float32."""
    for channel, shift, scale in zip(image, mean, std, strict=True):
        if divisor != 1.0:
            channel /= np.float32(divisor)  # noqa: PLW2901  # in place
        if shift != 0.0:
            channel -= np.float32(shift)  # noqa: PLW2901
        if math.frexp(scale)[0] == 0.5:  # a power of two: the product is the same number, and quicker
            if scale != 1.0:
                channel *= np.float32(1 / scale)  # noqa: PLW2901
        else:
            channel /= np.float32(scale)  # noqa: PLW2901
