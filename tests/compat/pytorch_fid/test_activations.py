"""``get_activations`` and what goes with it, beside pytorch-fid 0.3.0's, of networks of both and of a user's own.

Tolerance: 1e-6 relative (reached: bit-equal). Statistics 1e-9 to NumPy's (reached: 1e-15).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from genmetrics.compat.pytorch_fid import fid_score
from genmetrics.compat.pytorch_fid.fid_score import (
    ImagePathDataset,
    calculate_activation_statistics,
    compute_statistics_of_path,
    get_activations,
)
from genmetrics.compat.pytorch_fid.inception import InceptionV3
from genmetrics.errors import BadImageError, GenmetricsWarning, SourceError, StatisticsError, UsageError
from support.pytorch_fid_peer import original, original_network

WIDTH = 6
FEATURES, STATISTICS = 1e-6, 1e-9

pytestmark = pytest.mark.filterwarnings("ignore:the weights of .* are not the published ones")


class Own(nn.Module):
    """A network of a user's own, with a layer that behaves otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Conv2d(3, WIDTH, 5, stride=2), nn.BatchNorm2d(WIDTH), nn.Dropout(), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(images), images]


@pytest.fixture
def own() -> Own:
    return Own()


@pytest.fixture(scope="module")
def files(image_folder: Callable[..., Path]) -> list[Path]:
    return sorted(image_folder(9, 32, 40, seed=5).iterdir())


@pytest.fixture(scope="module", params=["their network", "our network"])
def blocks(request: pytest.FixtureRequest) -> nn.Module:
    module = original_network if request.param == "their network" else fid_score
    return module.InceptionV3([0])


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    error = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
    print(f"relative {error:.1e}")
    return error


class TestActivations:
    @pytest.mark.parametrize("batch_size", [4, 9])
    def test_inception(self, blocks, files, batch_size):
        ours = get_activations(files, blocks, batch_size, 64, "cpu", 0)
        assert (ours.shape, ours.dtype) == ((9, 64), np.float64)
        assert apart(ours, original.get_activations(files, blocks, batch_size, 64, "cpu", 0)) <= FEATURES

    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), False])
    def test_a_network_of_ones_own(self, own, files, workers, device):
        expected = original.get_activations(files, Own(), 2, WIDTH, "cpu", 0)
        ours = get_activations([str(file) for file in files], own, 2, WIDTH, device, workers)
        assert apart(ours, expected) <= FEATURES
        assert not own.training

    def test_the_last_layer(self, files):
        """Of one image, since it takes a while."""
        network = InceptionV3([3])
        ours = get_activations(files[:1], network, batch_size=1)
        assert apart(ours, original.get_activations(files[:1], network, batch_size=1, num_workers=0)) <= FEATURES

    def test_a_larger_batch_says_the_same(self, own, files, capsys):
        get_activations(files, own, dims=WIDTH)
        ours = capsys.readouterr()
        original.get_activations(files, own, dims=WIDTH, num_workers=0)
        assert ours.out == capsys.readouterr().out
        assert ours.out == "Warning: batch size is bigger than the data size. Setting batch size to data size\n"
        assert "9/9 images" in ours.err

    def test_images_of_several_sizes(self, own, files, image_folder):
        """Row by row what each gives alone; the original cannot put them into a batch."""
        mixed = [*files[:3], *sorted(image_folder(3, 48, 36, seed=6).iterdir()), *files[3:5]]
        with pytest.raises(RuntimeError, match="equal size"):
            original.get_activations(mixed, own, 4, WIDTH, "cpu", 0)
        alone = [original.get_activations([file], own, 1, WIDTH, "cpu", 0)[0] for file in mixed]
        assert apart(get_activations(mixed, own, 4, WIDTH), np.array(alone)) <= FEATURES

    def test_modes_that_become_rgb(self, own, tmp_path):
        """Grey, palette, RGBA and 1-bit images, as Pillow converts them."""
        pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 4), dtype=np.uint8)
        image = Image.fromarray(pixels)
        for mode in ("L", "P", "RGBA", "1", "CMYK"):
            image.convert("RGB" if mode == "CMYK" else mode).convert(mode).save(tmp_path / f"{mode}.tiff")
        files = sorted(tmp_path.iterdir())
        ours, theirs = (
            function(files, own, 2, WIDTH, "cpu", 0) for function in (get_activations, original.get_activations)
        )
        assert apart(ours, theirs) <= FEATURES

    @pytest.mark.parametrize(
        ("output", "message"),
        [
            (
                lambda x: x.mean((2, 3), keepdim=True),
                r"gave a Tensor of shape \(2, 3, 1, 1\) for 2 images; expected a list",
            ),
            (lambda x: [x.mean((2, 3))], r"begins with a map of shape \(2, 3\)"),
            (lambda x: [x], rf"map of shape \(2, 3, 32, 40\).*\(2, {WIDTH}, h, w\).*dims as many as it has channels"),
            (lambda x: {"2048": x}, "gave a dict"),
            (lambda x: [], "gave a list"),
        ],
    )
    def test_networks_that_give_something_else(self, files, output, message):
        class Other(nn.Module):
            def forward(self, images: Tensor) -> object:
                return output(images)

        with pytest.raises(UsageError, match=message):
            get_activations(files, Other(), 2, WIDTH)

    def test_images_that_cannot_be_read_are_named(self, own, files, tmp_path):
        cut = tmp_path / "cut.png"
        cut.write_bytes(files[0].read_bytes()[:200])
        with pytest.raises(BadImageError, match=r"cut\.png.*truncated"):
            get_activations([*files, cut], own, 4, WIDTH)

    def test_no_files(self, own):
        with pytest.raises(SourceError, match="the list of paths is empty"):
            get_activations([], own, dims=WIDTH)
        with pytest.raises(SourceError, match=r"1 of 1 path in the list do not exist: gone\.png"):
            get_activations(["gone.png"], own, dims=WIDTH)

    @pytest.mark.parametrize("batch_size", [0, -1])
    def test_batch_size(self, own, files, batch_size):
        with pytest.raises(UsageError, match=f"batch_size is {batch_size}, expected at least 1"):
            get_activations(files, own, batch_size, WIDTH)


class TestStatistics:
    def test_of_files(self, own, files):
        ours = calculate_activation_statistics(files, own, 4, WIDTH, "cpu", 0)
        for one, other in zip(
            ours, original.calculate_activation_statistics(files, own, 4, WIDTH, "cpu", 0), strict=True
        ):
            assert apart(one, other) <= STATISTICS

    def test_more_images_than_dimensions_and_fewer(self, own, files):
        for count in (3, 9):  # rows that are kept, and sums
            ours = calculate_activation_statistics(files[:count], own, 4, WIDTH)
            theirs = original.calculate_activation_statistics(files[:count], own, 3, WIDTH, "cpu", 0)
            assert apart(ours[1], theirs[1]) <= 1e-6  # another split into batches, in float32

    def test_of_one_image(self, own, files):
        """The original's covariance is NaN."""
        with pytest.raises(StatisticsError, match="need at least 2"):
            calculate_activation_statistics(files[:1], own, 1, WIDTH)

    def test_nan(self, files):
        class Broken(nn.Module):
            def forward(self, images: Tensor) -> list[Tensor]:
                return [images * float("nan")]

        with pytest.raises(StatisticsError, match="NaN"):
            calculate_activation_statistics(files, Broken(), 4, 3)

    def test_of_a_folder(self, own, files):
        """As a text and as a path, which the original does not take."""
        folder = files[0].parent
        theirs = original.compute_statistics_of_path(str(folder), own, 4, WIDTH, "cpu", 0)
        for path in (str(folder), folder):
            ours = compute_statistics_of_path(path, own, 4, WIDTH, "cpu", 0)
            assert all(apart(one, other) <= STATISTICS for one, other in zip(ours, theirs, strict=True))

    def test_of_an_npz(self, own, tmp_path):
        path = tmp_path / "stats.npz"
        np.savez(path, mu=np.arange(3.0), sigma=np.diag([1.0, 2.0, 4.0]))
        ours = compute_statistics_of_path(path, own, 50, 2048, "cpu")
        theirs = original.compute_statistics_of_path(str(path), own, 50, 2048, "cpu")
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))

    def test_what_a_folder_holds_besides_is_told(self, own, files, tmp_path):
        (tmp_path / "deeper").mkdir()
        for name in ("a.png", "b.PNG", "deeper/c.png"):
            (tmp_path / name).write_bytes(files[0].read_bytes())
        with pytest.warns(GenmetricsWarning) as told:
            compute_statistics_of_path(str(tmp_path), own, 2, WIDTH, "cpu")
        text = "\n".join(str(each.message) for each in told)
        assert "1 image whose extension is in capitals (b.PNG) are counted" in text
        assert "images in subfolders (deeper) are not counted" in text


class TestDataset:
    def test_images(self, files):
        ours, theirs = ImagePathDataset(files), original.ImagePathDataset(files)
        assert len(ours) == len(theirs) == 9
        assert isinstance(ours, torch.utils.data.Dataset)
        for one, other in zip((ours[3], ours[8]), (theirs[3], theirs[8]), strict=True):
            assert one.mode == "RGB" and np.array_equal(np.asarray(one), np.asarray(other))

    def test_transforms_in_a_loader(self, files):
        def halved(image: Image.Image) -> Tensor:
            return torch.from_numpy(np.array(image.resize((8, 8)))).float() / 2

        batches = [
            list(torch.utils.data.DataLoader(made(files, transforms=halved), batch_size=4))
            for made in (ImagePathDataset, original.ImagePathDataset)
        ]
        assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))

    def test_sixteen_bits_are_scaled(self, tmp_path):
        """Pillow's conversion, which the original takes, clips them to white."""
        Image.fromarray(np.full((4, 4), 32768, dtype=np.uint16)).save(tmp_path / "grey.png")
        assert np.asarray(ImagePathDataset([tmp_path / "grey.png"])[0]).max() == 128
        assert np.asarray(original.ImagePathDataset([tmp_path / "grey.png"])[0]).min() == 255

    def test_an_image_that_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "no.png").write_bytes(b"no image")
        with pytest.raises(BadImageError, match=r"no\.png' cannot be read: not an image"):
            ImagePathDataset([tmp_path / "no.png"])[0]


def _defined(module: object) -> Iterator[str]:
    """Functions, classes and constants that a module of the original defines or takes from the other."""
    for name, value in vars(module).items():
        if (name.isupper() and name != "TF") or getattr(value, "__module__", "").startswith("pytorch_fid"):
            yield name
    yield "parser"


def test_public_names_are_there():
    assert set(_defined(original)) <= set(fid_score.__all__)
    assert {suffix.lower() for suffix in original.IMAGE_EXTENSIONS} == fid_score.IMAGE_EXTENSIONS


@pytest.mark.parametrize(
    "name",
    [
        "ImagePathDataset",
        "calculate_activation_statistics",
        "calculate_fid_given_paths",
        "compute_statistics_of_path",
        "get_activations",
        "main",
        "save_fid_stats",
    ],
)
def test_signatures(name):
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (fid_score, original))
    assert [(each.name, each.default, each.kind) for each in ours.parameters.values()] == [
        (each.name, each.default, each.kind) for each in theirs.parameters.values()
    ]
