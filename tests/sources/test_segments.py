"""A pass that is cut into segments can go on after any of them as if it had never stopped."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from genmetrics.sources.arrays import ArraySource
from genmetrics.sources.base import BatchSpec, Finished, ImageBatch, ImageSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.torch_dataset import DatasetSource
from genmetrics.types import Shard

COUNT = 41
SEGMENT = 6


def pictures() -> list[np.ndarray]:
    """Three sizes in turn."""
    rng = np.random.RandomState(1)
    return [rng.randint(0, 256, (8 + 2 * (number % 3), 9, 3), dtype=np.uint8) for number in range(COUNT)]


def png(pixels: np.ndarray) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def names() -> list[str]:
    return [f"{'ab'[number % 2]}/{number:03d}.png" for number in range(COUNT)]


def folder(where: Path) -> ImageSource:
    for name, pixels in zip(names(), pictures(), strict=True):
        (where / name).parent.mkdir(exist_ok=True)
        (where / name).write_bytes(png(pixels))
    (where / "a" / "020.png").write_bytes(b"no image")
    return open_source(where, labels="folders")


def zipped(where: Path) -> ImageSource:
    with zipfile.ZipFile(where / "set.zip", "w") as file:
        for name, pixels in zip(names(), pictures(), strict=True):
            file.writestr(name, png(pixels))
    return open_source(where / "set.zip")


def tarred(where: Path) -> ImageSource:
    for shard in range(2):
        with tarfile.open(where / f"set-{shard}.tar.gz", "w:gz") as file:
            for name, pixels in list(zip(names(), pictures(), strict=True))[shard::2]:
                info = tarfile.TarInfo(name)
                info.size = len(png(pixels))
                file.addfile(info, io.BytesIO(png(pixels)))
    return open_source(str(where / "set-{0..1}.tar.gz"))


def npz(where: Path) -> ImageSource:
    np.savez_compressed(where / "set.npz", np.stack([pixels[:8] for pixels in pictures()]))
    return open_source(where / "set.npz")


def floats(where: Path) -> ImageSource:
    """Some values are outside of the range, and are counted for the notes."""
    values = np.stack([pixels[:8] for pixels in pictures()]).astype(np.float32) / 250
    return ArraySource(values, value_range=(0, 1))


def dataset(where: Path) -> ImageSource:
    images = torch.from_numpy(np.stack([pixels[:8] for pixels in pictures()])).permute(0, 3, 1, 2)
    return DatasetSource(TensorDataset(images, torch.arange(COUNT)))


def generator(draw: str, batch_size: int) -> Callable[[Path], ImageSource]:
    def made(where: Path) -> ImageSource:
        def images(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            # Depends on what else is in the batch, as the last bits of real networks do, and on its own draws.
            shift = z.sum() + torch.rand(1)
            return torch.sigmoid(z[:, :3, None, None] + shift + labels[:, None, None, None]).expand(-1, -1, 8, 8) * 1.04

        return GeneratorSource(
            images,
            **{"z_size": 4, "num_samples": COUNT, "num_classes": 3, "draw": draw, "seed": 7},
            **{"batch_size": batch_size, "value_range": (0, 1)},
        )

    return made


SOURCES = {
    "folder": folder,
    "zip": zipped,
    "tar": tarred,
    "npz": npz,
    "floats": floats,
    "dataset": dataset,
    "generator": generator("per-sample", 64),
    "generator, 4": generator("per-sample", 4),
    "generator, 5, torch-fidelity": generator("torch-fidelity", 5),
}


def read(
    source: ImageSource, shard: Shard, after: Finished, selection: tuple[int, ...] | None, workers: int
) -> tuple[list[ImageBatch], tuple[str, ...]]:
    spec = BatchSpec(4, workers, on_bad_image="skip", selection=selection, segment=SEGMENT, after=after)
    return list(source.batches(shard, spec)), source.notes


def same(one: ImageBatch, other: ImageBatch) -> bool:
    labels = (one.labels is None) == (other.labels is None)
    if one.labels is not None and other.labels is not None:
        labels = torch.equal(one.labels, other.labels)
    return (
        labels
        and torch.equal(one.images, other.images)
        and torch.equal(one.indices, other.indices)
        and (one.skipped, one.finished, one.hashes, one.origins)
        == (other.skipped, other.finished, other.hashes, other.origins)
    )


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("shard", [Shard(), Shard(1, 3)], ids=str)
@pytest.mark.parametrize("selection", [None, tuple(range(3, COUNT, 2))], ids=["all", "selection"])
def test_going_on_after_any_segment(name: str, shard: Shard, selection: tuple[int, ...] | None, tmp_path: Path) -> None:
    source = SOURCES[name](tmp_path)
    whole, notes = read(source, shard, Finished(), selection, workers=0)
    ends = [number for number, batch in enumerate(whole) if batch.finished is not None]
    expected = len(shard.range(COUNT if selection is None else len(selection)))
    assert [whole[number].finished.count for number in ends] == [  # type: ignore[union-attr]
        min(count, expected) for count in range(SEGMENT, expected + SEGMENT, SEGMENT)
    ]
    counted = 0
    for number, batch in enumerate(whole):
        counted += len(batch.indices) + len(batch.skipped)
        if number in ends:
            assert batch.finished is not None
            # Nothing of what comes later is in it, and nothing of what came before is left.
            assert batch.finished.count == counted
            rest, told = read(source, shard, batch.finished, selection, workers=2)
            assert len(rest) == len(whole) - number - 1
            assert all(map(same, rest, whole[number + 1 :]))
            assert told == notes


def test_the_negative_control(tmp_path: Path) -> None:
    """Going on from another place gives something else."""
    source = generator("per-sample", 4)(tmp_path)
    whole, _ = read(source, Shard(), Finished(), None, 0)
    other, _ = read(source, Shard(), Finished(SEGMENT + 1), None, 0)
    assert not all(map(same, other, whole[-len(other) :]))


def test_clipped_values_are_in_the_tally(tmp_path: Path) -> None:
    """Negative control of the notes: without the tally they would be of a part."""
    source = floats(tmp_path)
    whole, notes = read(source, Shard(), Finished(), None, 0)
    assert notes
    first = next(batch.finished for batch in whole if batch.finished is not None)
    _, without = read(source, Shard(), Finished(first.count), None, 0)
    assert without != notes


def test_no_segments_unless_asked_for(tmp_path: Path) -> None:
    batches = folder(tmp_path).batches(Shard(), BatchSpec(4, on_bad_image="skip"))
    assert all(batch.finished is None for batch in batches)
