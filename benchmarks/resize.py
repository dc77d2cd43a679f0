"""Resize and normalisation to 299 x 299: TF1's bilinear beside torch-fidelity's, Pillow's bicubic beside clean-fid's.

Random uint8 images of 32, 256 and 512 pixels a side; ours and the peer's take turns in one process. torch-fidelity is
given whole batches, as it does it, clean-fid single images. ``--threads`` is what torch may use: 1 compares core with
core; a last row for each size compares ours in two threads with ours in one. About two minutes.

    python benchmarks/resize.py [--sizes 32 256 512] [--count 64] [--rounds 5]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from genmetrics.preprocess.spec import Preprocess, get_preprocess
from harness import ROOT, Timing, compared, in_turn, save

sys.path.insert(0, str(ROOT / "tests"))
from support.peers import import_peer

OURS = "genmetrics"
TWO = "genmetrics in two threads"
TORCH_FIDELITY = "torch-fidelity 0.4.0, interpolate_bilinear_2d_like_tensorflow1x"
CLEAN_FID = "clean-fid 0.1.35, build_resizer('clean')"

#: How many times faster than torch-fidelity's one of ours should be, by the side of the images.
TARGETS = {32: 8, 256: 6, 512: 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 256, 512])
    parser.add_argument("--count", type=int, default=64, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for size in arguments.sizes for row in measure(size, arguments.count, arguments.rounds)]
    save("resize", "resize of uint8 images to 299 x 299 float32 and normalisation; random pixels", rows)


def measure(size: int, count: int, rounds: int) -> list[dict[str, object]]:
    images = torch.from_numpy(np.random.default_rng(size).integers(0, 256, (count, 3, size, size), dtype=np.uint8))
    tf1, clean = get_preprocess("tf1-bilinear-299"), get_preprocess("pil-bicubic-f32-299")
    interpolate = import_peer("torch_fidelity.interpolate_compat_tensorflow").interpolate_bilinear_2d_like_tensorflow1x
    resize = import_peer("cleanfid.resize").build_resizer("clean")
    single = images.permute(0, 2, 3, 1).numpy().copy()

    def of_torch_fidelity() -> torch.Tensor:
        resized = interpolate(images.to(torch.float32), size=(299, 299), align_corners=False)
        return (resized - 128) / 128

    def of_clean_fid() -> torch.Tensor:
        resized = np.stack([resize(image) for image in single])
        return (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128

    timings = in_turn(
        {OURS: lambda: tf1(images), TORCH_FIDELITY: of_torch_fidelity, TWO: lambda: in_two_threads(tf1, images)}, rounds
    )
    pillow = in_turn(
        {OURS: lambda: clean(images), CLEAN_FID: of_clean_fid, TWO: lambda: in_two_threads(clean, images)}, rounds
    )
    batch = f"{count} images of {size} x {size}"
    return [
        row(f"TF1's bilinear, {batch}, one thread", timings, OURS, TORCH_FIDELITY, count, TARGETS.get(size)),
        row(f"TF1's bilinear, {batch}, two threads beside one", timings, TWO, OURS, count),
        row(f"Pillow's bicubic on float channels, {batch}, one thread", pillow, OURS, CLEAN_FID, count),
        row(f"Pillow's bicubic on float channels, {batch}, two threads beside one", pillow, TWO, OURS, count),
    ]


def in_two_threads(preprocess: Preprocess, images: torch.Tensor) -> torch.Tensor:
    """It takes as many threads as torch does."""
    torch.set_num_threads(2)
    try:
        return preprocess(images)
    finally:
        torch.set_num_threads(1)


def row(
    what: str, timings: dict[str, Timing], ours: str, peer: str, count: int, target: int | None = None
) -> dict[str, object]:
    """A row of the result, with whether both gave the same bits; the pixels themselves are dropped."""
    found, expected = timings[ours].output, timings[peer].output
    agree = {"bit_equal": torch.equal(found, expected), "max_difference": float((found - expected).abs().max())}
    more = {"ms_per_image": round(1000 * timings[ours].median / count, 3), "agree": agree}
    if target is not None:
        more["targets"] = {"ratio": f">= {target}"}
    return compared(what, timings, ours, peer, count, **more)


if __name__ == "__main__":
    main()
