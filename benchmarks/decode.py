"""From image files to uint8 batches: ours beside Pillow alone and the datasets of other tools, threads and processes.

Waves with some noise as PNG of 32 and 256 pixels a side and JPEG of 256 and 512 (quality 90, 4:2:0), in a temporary
folder, and arrays in memory. What is timed is the reading of the whole folder. Of ours the single images are timed in
the calling thread, and the source as a run reads it: decoded, hashed for the set's digest and made batches of 32 by one
or two threads. torch's DataLoader stands for processes. All competitors must give the same pixels, by the digest of the
set. About three minutes.

    python benchmarks/decode.py [--kinds png32 png256 jpeg256 jpeg512 array32 array256] [--scale 1.0] [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genmetrics.accumulators.content import ContentDigest, image_hash
from genmetrics.sources.arrays import ArraySource
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.decode import decode_file
from genmetrics.sources.folder import FolderSource
from genmetrics.types import Shard
from harness import ROOT, Timing, compared, in_turn, save

sys.path.insert(0, str(ROOT / "tests"))
from support.peers import import_peer

#: Format, side and number of images of each kind of file.
FILES = {
    "png32": ("PNG", 32, 3000),
    "png256": ("PNG", 256, 250),
    "jpeg256": ("JPEG", 256, 1000),
    "jpeg512": ("JPEG", 512, 300),
}
ARRAYS = {"array32": (32, 16_000), "array256": (256, 1000)}
ONE_BY_ONE = "genmetrics, image by image"
THREADS = {workers: f"genmetrics, batches, {workers} decoding thread{'s' * (workers > 1)}" for workers in (1, 2)}
PROCESSES = "the same in 2 processes of torch's DataLoader"
PILLOW = "Pillow: np.asarray(Image.open(path).convert('RGB'))"
SIMPLEJPEG = "simplejpeg (libjpeg-turbo), strict"
HASHED = "genmetrics, image by image, channels one after another and hashed"
SIMPLEJPEG_HASHED = "simplejpeg for the pixels, and the same for all the rest"
TORCH_FIDELITY = "torch-fidelity 0.4.0's dataset"
PYTORCH_FID = "pytorch-fid 0.3.0's dataset"
CLEAN_FID = "clean-fid 0.1.35's dataset, without its resize"
LOADER = "torch-fidelity's dataset in a DataLoader of 2 processes"


class Ours(torch.utils.data.Dataset):
    """Our decoding and hashing for processes."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, str]:
        pixels = np.ascontiguousarray(decode_file(self.paths[index], "drop").pixels.transpose(2, 0, 1))
        return torch.from_numpy(pixels.copy()), hex(image_hash(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=[*FILES, *ARRAYS], choices=[*FILES, *ARRAYS])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of images")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import_peer("torchvision")
    rows: list[dict[str, object]] = []
    for kind in arguments.kinds:
        if kind in FILES:
            file_format, side, count = FILES[kind]
            rows += of_files(file_format, side, max(64, int(count * arguments.scale)), arguments.rounds)
        else:
            side, count = ARRAYS[kind]
            rows += of_arrays(side, max(64, int(count * arguments.scale)), arguments.rounds)
    save("decode", "reading images to uint8: waves with noise (standard deviation 4), one process per competitor", rows)


def photo(side: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    waves = [128 + 60 * np.sin(0.05 * c * columns + 0.03 * rows) + 40 * np.sin(0.11 * c * rows) for c in (1, 2, 3)]
    noisy = np.stack(waves, axis=2) + rng.normal(0, 4, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def of_files(file_format: str, side: int, count: int, rounds: int) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        options = {"quality": 90} if file_format == "JPEG" else {}
        paths = [Path(folder) / f"{index:05d}.{file_format.lower()}" for index in range(count)]
        for index, path in enumerate(paths):
            photo(side, index).save(path, file_format, **options)
        cases = file_cases(paths, FolderSource(folder), file_format)
        digests = {name: digest(case()) for name, case in cases.items()}
        timings = in_turn({name: partial(drain, case) for name, case in cases.items()}, rounds)
        what = f"{count} {file_format} of {side} x {side}"
        in_main_thread = consumer(what, cases[THREADS[2]], count)
    pairs = [(ONE_BY_ONE, PILLOW), (ONE_BY_ONE, TORCH_FIDELITY), (ONE_BY_ONE, PYTORCH_FID), (ONE_BY_ONE, CLEAN_FID)]
    pairs += [(THREADS[1], TORCH_FIDELITY), (THREADS[2], THREADS[1]), (THREADS[2], PROCESSES), (THREADS[2], LOADER)]
    pairs += [(ONE_BY_ONE, SIMPLEJPEG), (HASHED, SIMPLEJPEG_HASHED)] if SIMPLEJPEG in cases else []
    rows = [row(what, timings, digests, ours, peer, count) for ours, peer in pairs]
    return [*rows, in_main_thread]


def file_cases(paths: list[Path], source: ImageSource, file_format: str) -> dict[str, Callable[[], Iterable]]:
    transforms = import_peer("torchvision.transforms")
    names = [str(path) for path in paths]
    theirs = import_peer("torch_fidelity.datasets").ImagesPathDataset(names)
    as_floats = import_peer("pytorch_fid.fid_score").ImagePathDataset(names, transforms.ToTensor())
    cleaned = import_peer("cleanfid.utils").ResizeDataset(names, mode="legacy_tensorflow")
    cases: dict[str, Callable[[], Iterable]] = {
        ONE_BY_ONE: lambda: (decode_file(path, "drop").pixels for path in paths),
        PILLOW: lambda: (by_pillow(path) for path in paths),
        TORCH_FIDELITY: lambda: (theirs[index] for index in range(len(paths))),
        PYTORCH_FID: lambda: (as_floats[index] for index in range(len(paths))),
        CLEAN_FID: lambda: (cleaned[index] for index in range(len(paths))),
        THREADS[1]: lambda: images_of(source, 1),
        THREADS[2]: lambda: images_of(source, 2),
        PROCESSES: lambda: processes(Ours(paths)),
        LOADER: lambda: processes(theirs),
    }
    if file_format == "JPEG" and importlib.util.find_spec("simplejpeg") is not None:
        import simplejpeg

        cases[SIMPLEJPEG] = lambda: (simplejpeg.decode_jpeg(path.read_bytes(), strict=True) for path in paths)
        cases[SIMPLEJPEG_HASHED] = lambda: (by_simplejpeg(path) for path in paths)
        cases[HASHED] = lambda: (hashed(decode_file(path, "drop").pixels) for path in paths)
    return cases


def hashed(pixels: np.ndarray) -> np.ndarray:
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    image_hash(planes)
    return pixels


def by_simplejpeg(path: Path) -> np.ndarray:
    """What a decoder in Pillow's place would have to do: Pillow still judges the head of the file."""
    import simplejpeg

    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as head:
        size = head.size
    pixels = simplejpeg.decode_jpeg(data, "RGBX", strict=True)
    image = Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)
    planes = b"".join([image.tobytes("raw", channel) for channel in "RGB"])
    return hashed(np.frombuffer(planes, dtype=np.uint8).reshape(3, size[1], size[0]).transpose(1, 2, 0))


def by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def of_arrays(side: int, count: int, rounds: int) -> list[dict[str, object]]:
    array = np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    source = ArraySource(array)
    cases: dict[str, Callable[[], Iterable]] = {
        THREADS[1]: lambda: images_of(source, 1),
        THREADS[2]: lambda: images_of(source, 2),
    }
    digests = {name: digest(case()) for name, case in cases.items()}
    timings = in_turn({name: partial(drain, case) for name, case in cases.items()}, rounds)
    what = f"{count} images of {side} x {side} in memory"
    return [row(what, timings, digests, THREADS[2], THREADS[1], count), consumer(what, cases[THREADS[2]], count)]


def consumer(what: str, case: Callable[[], Iterable], count: int) -> dict[str, object]:
    """What the reading costs the thread that takes the batches, and which has the network to run."""
    began = time.thread_time()
    drain(case)
    spent = 1e6 * (time.thread_time() - began) / count
    return {"what": f"{what}: processor time of the consuming thread", "microseconds_per_image": round(spent, 1)}


def images_of(source: ImageSource, workers: int) -> Iterator[torch.Tensor]:
    for batch in source.batches(Shard(), BatchSpec(batch_size=32, workers=workers)):
        assert batch.hashes is not None  # hashed in the threads, as in a run
        yield batch.images


def processes(dataset: torch.utils.data.Dataset) -> Iterator[torch.Tensor]:
    for batch in torch.utils.data.DataLoader(dataset, batch_size=32, num_workers=2):
        yield batch[0] if isinstance(batch, list) else batch


def drain(case: Callable[[], Iterable]) -> None:
    for _ in case():
        pass


def digest(images: Iterable[np.ndarray | torch.Tensor]) -> str:
    """Of all the images that a competitor gives, alone or in batches, uint8 or floats in 0..1 or 0..255."""
    content = ContentDigest()
    for found in images:
        batch = torch.from_numpy(found.transpose(2, 0, 1).copy()) if isinstance(found, np.ndarray) else found
        batch = batch[None] if batch.ndim == 3 else batch
        if batch.is_floating_point():
            batch = (batch * (255 if batch.max() <= 1 else 1)).round().to(torch.uint8)
        content.update(batch, torch.arange(len(batch)))
    return content.hexdigest()


def row(
    what: str, timings: dict[str, Timing], digests: dict[str, str], ours: str, peer: str, count: int
) -> dict[str, object]:
    return compared(what, timings, ours, peer, count, same_pixels=digests[ours] == digests[peer])


if __name__ == "__main__":
    main()
