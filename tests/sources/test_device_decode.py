"""JPEG files decoded by something else than Pillow: which files, how many at once, and what is said of it."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.engine import image_pass
from genmetrics.engine.evaluate import compute_stats, evaluate
from genmetrics.engine.options import Options
from genmetrics.errors import BadImageError, DependencyError, DeviceError, GenmetricsWarning
from genmetrics.sources import device_decode
from genmetrics.sources.archive import ZipSource
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.decode import decode_bytes
from genmetrics.sources.device_decode import DeviceDecoder, NvJpeg, check_gpu_decode, is_plain_jpeg
from genmetrics.sources.folder import FolderSource
from genmetrics.stats.stats import Stats
from genmetrics.types import Shard
from sources.helpers import Collected, pixels


class StandIn(DeviceDecoder):
    """Pillow's pixels, one level off, so that it shows who decoded; refuses files of a given width."""

    name = "a stand-in"

    def __init__(self, refused_width: int = 0) -> None:
        self.calls: list[int] = []
        self.refused_width = refused_width

    def decode(self, files: Sequence[bytes]) -> list[torch.Tensor | None]:
        self.calls.append(len(files))
        found: list[torch.Tensor | None] = []
        for data in files:
            image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
            found.append(None if image.shape[2] == self.refused_width else torch.from_numpy(image ^ 1))
        return found


def encoded(
    height: int, width: int, seed: int, file_format: str = "JPEG", mode: str = "RGB", **options: object
) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed, height, width)).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def in_segments(data: bytes) -> tuple[list[bytes], bytes]:
    """What is before the pixels, by its markers, and the rest."""
    place, parts = 2, []
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        parts.append(data[place:end])
        place = end
    return parts, data[place:]


def rgb_by_names_alone() -> bytes:
    """Not YCbCr, which only the names of its channels say."""
    parts, rest = in_segments(encoded(5, 7, 0, keep_rgb=True))
    return b"\xff\xd8" + b"".join(part for part in parts if part[1] != 0xEE) + rest


def rgb_by_a_late_marker() -> bytes:
    """Not YCbCr, which only Adobe's marker behind the frame's head says."""
    parts, rest = in_segments(encoded(5, 7, 0, keep_rgb=True))
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    parts = [part for part in parts if part[1] != 0xEE]
    frame = next(number for number, part in enumerate(parts) if part[1] == 0xC0)
    renamed = bytearray(parts[frame])
    renamed[10::3] = b"\x01\x02\x03"
    scan = bytearray(rest)
    scan[5:11:2] = b"\x01\x02\x03"
    return b"\xff\xd8" + b"".join([*parts[:frame], bytes(renamed), adobe, *parts[frame + 1 :]]) + bytes(scan)


def mixture() -> dict[str, bytes]:
    files = {f"{number:02d}.jpg": encoded(20, 24, number, progressive=bool(number % 2)) for number in range(12)}
    files |= {f"{number}.png": encoded(20, 24, number, "PNG") for number in range(20, 26)}
    files["30.jpg"] = encoded(20, 24, 30, mode="CMYK")
    files["31.jpg"] = encoded(20, 24, 31, mode="L")
    files["32.jpg"] = encoded(9, 7, 32)
    return files


@pytest.fixture(params=["folder", "zip"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ImageSource:
    if request.param == "folder":
        for name, data in mixture().items():
            (tmp_path / name).write_bytes(data)
        return FolderSource(tmp_path)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, data in mixture().items():
            archive.writestr(name, data)
    return ZipSource(tmp_path / "x.zip")


def read(source: ImageSource, decoder: DeviceDecoder | None, workers: int = 2) -> Collected:
    return Collected(source.batches(Shard(), BatchSpec(8, workers, decoder=decoder)))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_plain_jpegs_go_to_the_decoder_and_all_else_to_pillow(source: ImageSource, workers: int) -> None:
    decoder = StandIn(refused_width=7)
    usual, found = read(source, None, workers), read(source, decoder, workers)

    assert sorted(found.images) == sorted(usual.images) == list(range(21))
    names = source.names()
    assert names is not None
    elsewhere = {index for index in usual.images if (found.images[index] != usual.images[index]).any()}
    # Neither the PNGs nor the CMYK file, nor the one that the decoder refuses.
    assert {names[index] for index in elsewhere} == {f"{number:02d}.jpg" for number in range(12)} | {"31.jpg"}
    assert all((found.images[index] == usual.images[index] ^ 1).all() for index in elsewhere)
    assert sum(batch.num_by_device for batch in found.batches) == 13
    assert sum(batch.num_by_device for batch in usual.batches) == 0
    origins = [Counter(origin for batch in got.batches for origin in batch.origins or ()) for got in (found, usual)]
    assert origins[0] == origins[1]
    assert {origin.format for origin in origins[0]} == {"JPEG", "PNG"}


def test_the_decoder_gets_several_files_at_once(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:03d}.jpg").write_bytes(encoded(8, 8, number))
    decoder = StandIn()
    read(FolderSource(tmp_path), decoder)
    assert sum(decoder.calls) == 200
    assert max(decoder.calls) > 4


def test_what_pillow_refuses_is_refused(tmp_path: Path) -> None:
    whole = encoded(20, 24, 0)
    (tmp_path / "a.jpg").write_bytes(whole)
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadImageError, match=r"b\.jpg: damaged or truncated"):
        read(FolderSource(tmp_path), StandIn())


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (encoded(5, 7, 0), True),
        (encoded(5, 7, 0, progressive=True), True),
        (encoded(5, 7, 0, mode="L"), True),
        (encoded(5, 7, 0, restart_marker_blocks=1), True),
        (encoded(5, 7, 0, mode="CMYK"), False),  # Adobe
        (encoded(5, 7, 0, keep_rgb=True), False),  # Adobe
        (rgb_by_names_alone(), False),
        (rgb_by_a_late_marker(), False),
        (encoded(5, 7, 0, "PNG"), False),
        (encoded(5, 7, 0)[:-1], False),
        (encoded(5, 7, 0) + b"more", False),
        (b"", False),
        (b"\xff\xd8\xff\xd9", False),
        (b"\xff\xd8\xff\xc0\x00\x05\x08\xff\xd9", False),
    ],
)
def test_which_files_are_plain(data: bytes, plain: bool) -> None:
    assert is_plain_jpeg(data, None) is plain
    assert not is_plain_jpeg(data, 34)


@pytest.mark.parametrize("data", [rgb_by_names_alone(), rgb_by_a_late_marker()])
def test_what_is_refused_for_its_colours_is_of_these_to_pillow(data: bytes) -> None:
    expected = Image.open(io.BytesIO(encoded(5, 7, 0, keep_rgb=True)))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(expected))


class FakeIo:
    """torchvision's decoder, which fails as it is told for files that hold a word."""

    class ImageReadMode:
        RGB = None

    def __init__(self, failure: RuntimeError) -> None:
        self.failure = failure

    def decode_jpeg(self, files: list[torch.Tensor], mode: None, device: torch.device) -> list[torch.Tensor]:
        if any(b"odd" in bytes(data.numpy()) for data in files):
            raise self.failure
        return [torch.zeros((3, 1, 1), dtype=torch.uint8) for _ in files]


IN_DECODE = "Error while decoding JPEG images: "


@pytest.mark.parametrize(
    "text",
    ["Failed to get image info: 3", "Failed to decode jpeg stream: 4\nException raised", "Unknown chroma subsampling"],
)
def test_a_file_that_the_device_cannot_decode_is_left_to_pillow(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_decode, "check_gpu_decode", lambda: FakeIo(RuntimeError(IN_DECODE + text)))
    found = NvJpeg(torch.device("cpu")).decode([b"plain", b"odd", b"plain"])
    assert [one is None for one in found] == [False, True, False]


@pytest.mark.parametrize(
    "failure",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(IN_DECODE + "CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(IN_DECODE + "Failed to synchronize CUDA stream: 700"),
        RuntimeError(IN_DECODE + "CUDA error: an illegal memory access was encountered"),
        RuntimeError(IN_DECODE + "Failed to decode batch: 5"),  # its allocator
        RuntimeError("Failed to create device buffer: 5"),
        RuntimeError("something new"),
    ],
)
def test_what_is_not_of_a_file_is_raised(failure: RuntimeError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_decode, "check_gpu_decode", lambda: FakeIo(failure))
    decoder = NvJpeg(torch.device("cpu"))
    for files in ([b"odd"], [b"plain", b"odd"]):
        with pytest.raises(RuntimeError) as caught:
            decoder.decode(files)
        assert caught.value is failure


def test_outside_nothing_is_handed_over() -> None:
    data = encoded(5, 7, 0)
    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels, np.asarray(Image.open(io.BytesIO(data))))


def test_the_record_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        data = encoded(20, 24, number) if number else encoded(20, 24, number, "PNG")
        (tmp_path / f"{number}.{'jpg' if number else 'png'}").write_bytes(data)
    monkeypatch.setattr(image_pass, "device_decoder", lambda options, device: StandIn())
    with pytest.warns(GenmetricsWarning, match="5 JPEG images were decoded by a stand-in, whose pixels are not"):
        stats = compute_stats(tmp_path, ["fd.efficientnet-lite0.in1k"], batch_size=4)
    assert any(note.startswith("5 JPEG images were decoded by a stand-in") for note in stats.side.notes)
    monkeypatch.undo()
    usual = compute_stats(tmp_path, ["fd.efficientnet-lite0.in1k"], batch_size=4)
    assert stats.side.digest != usual.side.digest
    assert (stats.side.num_by_device, usual.side.num_by_device) == (5, 0)
    assert stats.side.formats == usual.side.formats == (("JPEG", 5), ("PNG", 1))
    stats.save(tmp_path / "gpu.safetensors")
    loaded = Stats.load(tmp_path / "gpu.safetensors")
    assert loaded.side.num_by_device == 5
    with pytest.warns(GenmetricsWarning, match="images of the reference side were decoded on a GPU"):
        report = evaluate(usual, loaded, ["fd.efficientnet-lite0.in1k"])
    assert any("that of two decoders" in note for note in report.notes)
    assert not any("two decoders" in note for note in evaluate(usual, usual, ["fd.efficientnet-lite0.in1k"]).notes)
    assert not any("decoded by" in note for note in usual.side.notes)


def test_without_a_gpu_it_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"decode 'gpu' needs a CUDA device, .* leave it out: Pillow decodes"):
        Options(decode="gpu")


def test_without_torchvision_it_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_decode.importlib, "import_module", missing)
    with pytest.raises(DependencyError, match=r"pip install 'genmetrics\[gpu-decode\]'"):
        Options(decode="gpu")


def test_by_default_pillow_decodes() -> None:
    assert image_pass.device_decoder(Options(), torch.device("cpu")) is None


@pytest.mark.gpu
def test_nvjpeg_is_near_pillow_and_not_equal(source: ImageSource) -> None:
    pytest.importorskip("torchvision.io", reason="needs torchvision built for this torch")
    check_gpu_decode()
    decoder = NvJpeg(torch.device("cuda"))
    usual, found = read(source, None), read(source, decoder)
    differences = [np.abs(found.images[i].astype(int) - usual.images[i].astype(int)) for i in usual.images]
    assert sum(batch.num_by_device for batch in found.batches) == 14
    # Noise at 4:2:0 is where the upsampling of colours matters most. Another image of noise would be 80 levels away.
    assert max(difference.mean() for difference in differences) < 30
    assert max(difference.max() for difference in differences) > 0
    assert decoder.decode([b"\xff\xd8nonsense\xff\xd9"]) == [None]
