"""The stages of a pass, each by itself on the device, and what the device's convolutions can do at most."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import genmetrics as gm
from genmetrics.accumulators.moments import Moments
from genmetrics.engine.device_queue import device_queue
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.precision import computing_at
from genmetrics.sources.base import BatchSpec
from genmetrics.types import Precision, Shard

__all__ = ["Clock", "Stages", "convolution_rate", "stages"]

WANTED = ("2048", "logits_unbiased")
#: How often each stage runs, untimed and timed; the median counts.
WARMUP, TIMES = 5, 30
WARMUP_CPU, TIMES_CPU = 0, 2
#: Batches that take turns, so that none is in a cache from the time before.
SETS = 4


@dataclass
class Peak:
    """The most memory of the device that was in use; 0 on a CPU."""

    mib: float = 0.0


class Clock:
    """Time and memory of a device."""

    @staticmethod
    def wait(device: str) -> None:
        """Until it is done."""
        if device == "cuda":
            torch.cuda.synchronize()

    @staticmethod
    def seconds(device: torch.device, run: Callable[[int], object]) -> float:
        """The median time of a call on the device, which is given its number; by CUDA events where there are any."""
        if device.type != "cuda":
            for number in range(WARMUP_CPU):
                run(number)
            taken = []
            for number in range(TIMES_CPU):
                began = time.perf_counter()
                run(number)
                taken.append(time.perf_counter() - began)
            return statistics.median(taken)
        for number in range(WARMUP):
            run(number)
        marks = []
        for number in range(TIMES):
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            run(number)
            after.record()
            marks.append((before, after))
        torch.cuda.synchronize()
        return statistics.median(before.elapsed_time(after) for before, after in marks) / 1000

    @staticmethod
    @contextmanager
    def peak(device: str) -> Iterator[Peak]:
        """The peak memory of the device in a block."""
        peak = Peak()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        yield peak
        if device == "cuda":
            peak.mib = round(torch.cuda.max_memory_allocated() / 2**20, 1)


@dataclass
class Stages:
    """What ``stages`` found.

    Attributes:
        rows: for the result file.
        seconds: per image, by precision and stage.
        limits: TFLOP/s of a convolution, by precision.
    """

    rows: list[dict[str, object]] = field(default_factory=list)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)


def stages(
    folder: Path,
    extractor: str,
    weights: Path,
    device_name: str,
    precisions: Iterable[Precision],
    batch_size: int,
    workers: int,
) -> Stages:
    """Time each stage of a pass alone.

    Args:
        folder: the images' files.
        extractor: the network's id.
        weights: its weight file.
        device_name: where it runs.
        precisions: at which ones.
        batch_size: images a batch.
        workers: decoding threads.
    """
    found, device = Stages(), torch.device(device_name)
    decode, sets = _decoding(folder, batch_size, workers)
    found.rows.append({"what": f"decode alone, {workers} threads", "images_per_second": round(1 / decode, 1)})
    queue = device_queue(device)
    size = len(sets[0])
    copy = Clock.seconds(device, lambda number: queue.upload(sets[number % len(sets)])) / size
    found.rows.append(
        {
            "what": "copy to the device by way of page-locked memory, alone",
            "images_per_second": round(1 / copy, 1),
            "gb_per_second": round(sets[0][0].nbytes / copy / 1e9, 2),
        }
    )
    on_device = [images.to(device) for images in sets]
    network = load_extractor(extractor, weights)
    preprocess = network.preprocess
    resize = Clock.seconds(device, lambda number: preprocess(on_device[number % len(sets)])) / size
    found.rows.append({"what": "resize and normalisation, alone", "images_per_second": round(1 / resize, 1)})
    inputs = [preprocess(images) for images in on_device]
    for precision in precisions:
        found.limits[precision] = limit = convolution_rate(device, precision)
        network.to(device, precision)
        # Once for its features; their values do not matter to the time of the moments.
        features = network.run(inputs[0], WANTED)["2048"]
        forward = Clock.seconds(device, lambda number: network.run(inputs[number % len(sets)], WANTED)) / size
        moments = _moments(device, features)
        flops = _flops(network, inputs[0])
        found.seconds[precision] = {
            **{"decode": decode, "copy": copy, "resize": resize, "network": forward, "moments": moments}
        }
        busy = resize + forward + moments
        found.rows.append(
            {
                "what": f"network alone, {precision}",
                "batch_size": size,
                "images_per_second": round(1 / forward, 1),
                "tflops": round(flops / forward / 1e12, 2),
                "conv_tflops_measured": limit,
                "share_of_conv_rate": round(flops / forward / 1e12 / limit, 3),
                "moments_images_per_second": round(1 / moments, 1),
                "network_share_of_device_time": round(forward / busy, 3),
            }
        )
    return found


def convolution_rate(device: torch.device, precision: Precision) -> float:
    """TFLOP/s of a 3 x 3 convolution of 256 channels at 35 x 35, channels last."""
    count, channels, side = (256 if device.type == "cuda" else 4), 256, 35
    x = torch.randn((count, channels, side, side), device=device).to(memory_format=torch.channels_last)
    weight = torch.randn((channels, channels, 3, 3), device=device).to(memory_format=torch.channels_last)
    work = 2 * 9 * channels * channels * count * side * side
    with torch.inference_mode(), computing_at(precision, device):
        seconds = Clock.seconds(device, lambda _: torch.nn.functional.conv2d(x, weight, padding=1))
    return round(work / seconds / 1e12, 3)


def _decoding(folder: Path, batch_size: int, workers: int) -> tuple[float, list[Tensor]]:
    """Seconds an image of decoding alone after a first batch, and a few full batches."""
    batches = gm.open_source(folder).batches(Shard(), BatchSpec(batch_size, workers))
    kept = [next(batches).images]
    began, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch.indices)
        if len(kept) < SETS and len(batch.images) == len(kept[0]):
            kept.append(batch.images)
    return (time.perf_counter() - began) / max(count, 1), kept


def _moments(device: torch.device, features: Tensor) -> float:
    """Seconds a sample of an update that is folded into the covariance."""
    moments = Moments(features.shape[1])
    indices = torch.arange(len(features))
    for _ in range(features.shape[1] // len(features) + 2):  # the first rows are only kept
        moments.update(features, indices)
    return Clock.seconds(device, lambda _: moments.update(features, indices)) / len(features)


def _flops(network: Extractor, inputs: Tensor) -> float:
    """Floating-point operations an image; a multiply-add counts as two."""
    published = network.network  # read from its file, on the CPU
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        published(inputs[:1].cpu(), WANTED)
    return float(counter.get_total_flops())
