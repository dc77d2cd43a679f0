from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from genmetrics.errors import SourceError, StatisticsError
from genmetrics.stats.formats import FORMATS, is_statistics, load_stats
from support.foreign_stats import draw, mean_and_cov

EXTENSIONS = [".npz", ".npy", ".pkl", ".pt", ".pth", ".safetensors", ".bin"]
MU, SIGMA = mean_and_cov(draw(60, 4))


def message(path: Path) -> str:
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)
    start = f"statistics file '{path}': "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


def torch_script(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2), check_trace=False), path)


WRITERS = {
    "mu-sigma npz": lambda path: np.savez(path.open("wb"), mu=MU, sigma=SIGMA),
    "feats npz": lambda path: np.savez(path.open("wb"), feats=draw(5, 4)),
    "features npy": lambda path: np.save(path.open("wb"), draw(5, 4)),
    "mu-sigma npy": lambda path: np.save(path.open("wb"), {"mu": MU, "sigma": SIGMA}, allow_pickle=True),
    "mu-sigma pickle": lambda path: path.write_bytes(pickle.dumps({"mu": MU, "sigma": SIGMA})),
    "mu-sigma torch file": lambda path: torch.save({"mu": MU, "sigma": SIGMA}, path),
    "features torch file": lambda path: torch.save(torch.ones(3, 4), path, _use_new_zipfile_serialization=False),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", WRITERS)
def test_the_content_counts_and_not_the_extension(kind: str, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{extension}"
    WRITERS[kind](path)

    assert is_statistics(path)
    assert load_stats(path).side.kind == kind


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps({"mu": MU, "sigma": SIGMA, "more": list(range(9999))}, protocol))

    assert is_statistics(path)
    assert load_stats(path).side.kind == "mu-sigma pickle"


REFUSED = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty (0 bytes); copy or download it again"),
    "a web page": (
        lambda path: path.write_text("\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"),
        "it is a web page, such as the error page of a failed download; download it again",
    ),
    "an error in XML": (
        lambda path: path.write_text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
        "it is a web page, such as the error page of a failed download; download it again",
    ),
    "a pointer of Git LFS": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 33\n"),
        "it is a pointer of Git LFS and not the file itself; fetch it with `git lfs pull`",
    ),
    "a text": (lambda path: path.write_text("(mu: 0, sigma: é)\n" * 999), "it is a text; expected an .npz of 'mu' and"),
    "an image": (
        lambda path: Image.new("RGB", (4, 4)).save(path, "PNG"),
        "it is an image, and no statistics; expected an .npz of 'mu' and 'sigma'",
    ),
    "TorchScript": (
        torch_script,
        "it is a TorchScript network, and no statistics; give it as a generator or extractor",
    ),
    "a zip of other files": (
        lambda path: zipfile.ZipFile(path, "w").writestr("a.png", b""),
        "it is a zip archive of other files; expected an .npz of 'mu' and 'sigma'",
    ),
    "other bytes": (
        lambda path: path.write_bytes(bytes(range(1, 256))),
        "it is of no known format, or damaged; expected an .npz of 'mu' and 'sigma'",
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_what_it_is(kind: str, extension: str, tmp_path: Path) -> None:
    write, expected = REFUSED[kind]
    path = tmp_path / f"x{extension}"
    write(path)

    assert message(path).startswith(expected)
    # Meant as statistics, so that the message above is what the user sees, where nothing else has that extension.
    meant = extension in (".pkl", ".safetensors") and kind not in ("TorchScript", "an image", "a zip of other files")
    assert is_statistics(path) == meant


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    assert not is_statistics(tmp_path)
    assert not is_statistics(tmp_path / "x.pkl")
    with pytest.raises(SourceError, match="does not exist"):
        load_stats(tmp_path / "x.pkl")
    with pytest.raises(SourceError, match="is a folder, expected a statistics file"):
        load_stats(tmp_path)


def test_images_are_not_statistics(tmp_path: Path) -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "x.npz", images, np.zeros(3, int))
    np.save(tmp_path / "x.npy", images)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"")
    assert not any(map(is_statistics, tmp_path.iterdir()))


def test_networks_are_not_statistics(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "x.onnx")
    save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors")

    assert not is_statistics(tmp_path / "x.onnx")
    assert not is_statistics(tmp_path / "x.safetensors")


def test_our_own_by_any_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", feats=draw(5, 4))
    load_stats(tmp_path / "x.npz").save(tmp_path / "x.safetensors")
    path = (tmp_path / "x.safetensors").rename(tmp_path / "x.pt")

    assert is_statistics(path)
    assert load_stats(path).num_samples == 5
    path.rename(tmp_path / "y.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{cut off")
    assert is_statistics(tmp_path / "y.safetensors")
    with pytest.raises(StatisticsError, match="is damaged or cut off"):
        load_stats(tmp_path / "y.safetensors")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs an account that permissions hold for")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=MU, sigma=SIGMA)
    (tmp_path / "x.npz").chmod(0)
    assert not is_statistics(tmp_path / "x.npz")
    with pytest.raises(StatisticsError, match="cannot be read: Permission denied; make it readable"):
        load_stats(tmp_path / "x.npz")


def test_recognising_needs_no_torch() -> None:
    code = "import sys; from genmetrics.stats.formats import FORMATS, is_statistics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_format_is_in_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "stats-formats.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")}
    assert {entry.name for entry in FORMATS} <= rows
    assert len({entry.name for entry in FORMATS}) == len(FORMATS)
