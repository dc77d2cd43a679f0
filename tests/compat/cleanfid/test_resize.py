"""Single images through ``make_resizer``, ``FolderResizer`` and ``ResizeDataset``, against clean-fid 0.1.35.

Bit for bit where Pillow resizes and begins with the rows, as it does at these sizes; 1e-4 of 255 by torch.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.cleanfid import resize, utils
from genmetrics.errors import BadImageError, DependencyError, SourceError, UsageError
from support.clean_fid import MODES, zipped
from support.peers import import_peer

their_resize = import_peer("cleanfid.resize")
their_utils = import_peer("cleanfid.utils")
PIL_FILTERS = ("bicubic", "bilinear", "nearest", "lanczos", "box")
SIZES = [((64, 64), (299, 299)), ((180, 250), (299, 299)), ((225, 448), (90, 70))]


@pytest.fixture(autouse=True)
def _their_filters():
    """clean-fid switches all warnings of the process off when it makes some resizers."""
    with warnings.catch_warnings():
        yield


def an_image(smooth_images, size: tuple[int, int]) -> np.ndarray:
    return smooth_images(1, *size, seed=size[0])[0]


@pytest.mark.parametrize(("size", "out"), SIZES)
@pytest.mark.parametrize("quantised", [False, True], ids=["floats", "uint8"])
@pytest.mark.parametrize("filter", PIL_FILTERS)
def test_pillow(smooth_images, filter, quantised, size, out):
    image = an_image(smooth_images, size)
    ours = resize.make_resizer("PIL", quantised, filter, out)(image)
    expected = their_resize.make_resizer("PIL", quantised, filter, out)(image)
    assert ours.dtype == expected.dtype and ours.shape == expected.shape == (out[1], out[0], 3)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(("size", "out"), SIZES)
@pytest.mark.parametrize("quantised", [False, True], ids=["floats", "uint8"])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_torch(smooth_images, filter, quantised, size, out):
    image = an_image(smooth_images, size)
    ours = resize.make_resizer("PyTorch", quantised, filter, out)(image)
    expected = their_resize.make_resizer("PyTorch", quantised, filter, out)(image)
    assert ours.dtype == expected.dtype and ours.shape == expected.shape == (*out, 3)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("filter", ["bilinear", "nearest"])
def test_tensorflow_without_tensorflow(filter):
    """TensorFlow 2's grid: half-pixel centres and no antialiasing, of which these positions are known."""
    row = np.array([0, 100, 200, 60], dtype=np.float32)
    image = np.tile(row[None, :, None], (4, 1, 3))
    found = resize.make_resizer("TensorFlow", False, filter, (4, 8))(image)
    expected = {"bilinear": [0, 25, 75, 125, 175, 165, 95, 60], "nearest": [0, 0, 100, 100, 200, 200, 60, 60]}[filter]
    np.testing.assert_allclose(found[0, :, 0], expected, atol=1e-4)
    # Not TensorFlow 1's, which looks at i · in/out.
    if filter == "bilinear":
        assert found[0, 1, 0] != 50


def test_tensorflows_other_filters_need_it():
    if importlib.util.find_spec("tensorflow") is not None:
        pytest.skip("TensorFlow is installed; the message is for those without")
    with pytest.raises(DependencyError, match=r"'bicubic' resize needs TensorFlow.*without it: bilinear, nearest"):
        resize.make_resizer("TensorFlow", False, "bicubic", (299, 299))


def test_opencv():
    if importlib.util.find_spec("cv2") is None:
        with pytest.raises(DependencyError, match="needs OpenCV, which is not installed"):
            resize.make_resizer("OpenCV", False, "bilinear", (299, 299))
        return
    image = np.zeros((8, 9, 3), np.uint8)
    expected = their_resize.make_resizer("OpenCV", True, "bicubic", (5, 4))(image)
    np.testing.assert_array_equal(resize.make_resizer("OpenCV", True, "bicubic", (5, 4))(image), expected)


def test_what_opencv_is_asked(monkeypatch):
    """A stand-in for it, which only tells what came."""
    import sys
    from types import SimpleNamespace

    asked = []
    fake = SimpleNamespace(
        INTER_AREA=3, resize=lambda x, size, interpolation: asked.append((size, interpolation)) or x * 2.0
    )
    monkeypatch.setitem(sys.modules, "cv2", fake)
    found = resize.make_resizer("OpenCV", True, "area", (5, 4))(np.full((2, 2, 3), 200, np.uint8))
    assert asked == [((5, 4), 3)] and found.dtype == np.uint8 and (found == 255).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Pillow", False, "bicubic"), "library 'Pillow': known: OpenCV, PIL, PyTorch, TensorFlow"),
        (("PIL", False, "bicubik"), "filter 'bicubik' of library 'PIL': did you mean 'bicubic'"),
        (("PyTorch", False, "nearest"), "filter 'nearest' of library 'PyTorch'"),
        (("OpenCV", False, "box"), "filter 'box' of library 'OpenCV'"),
    ],
)
def test_what_there_is_not(arguments, said):
    with pytest.raises(UsageError, match=said):
        resize.make_resizer(*arguments, (299, 299))


@pytest.mark.parametrize("mode", MODES)
def test_of_a_mode(smooth_images, mode):
    image = an_image(smooth_images, (64, 64))
    for given in (image, image.astype(np.float32) + 0.3):
        ours, expected = (module.build_resizer(mode)(given) for module in (resize, their_resize))
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)
    with pytest.raises(UsageError, match="mode 'cleam': did you mean 'clean'"):
        resize.build_resizer("cleam")


def test_grey_and_alpha(smooth_images):
    """Of grey images clean-fid has no second channel."""
    image = an_image(smooth_images, (64, 64))
    run = resize.build_resizer("clean")
    grey = run(image[:, :, 0])
    np.testing.assert_array_equal(grey, np.repeat(run(image)[:, :, :1], 3, axis=2))
    with pytest.raises(IndexError):
        their_resize.build_resizer("clean")(image[:, :, 0])
    np.testing.assert_array_equal(run(np.concatenate((image, image[:, :, :1]), axis=2)), run(image))
    with pytest.raises(UsageError, match=r"an image has shape \(2, 64, 64, 3\); expected \(h, w, 3\)"):
        run(np.stack([image, image]))
    with pytest.raises(UsageError, match=r"an image is torch\.float32; Pillow resizes with quantize_after=True"):
        resize.make_resizer("PIL", True, "bicubic", (9, 9))(image.astype(np.float32))


def test_no_warning_is_switched_off():
    before = list(warnings.filters)
    for mode in MODES:
        resize.build_resizer(mode)
    assert warnings.filters == before


class TestFolderResizer:
    @pytest.fixture
    def files(self, image_folder) -> list[Path]:
        return sorted(image_folder(3, 64, 64, seed=3).iterdir())

    @pytest.mark.parametrize("ending", [".png", ".npy"])
    def test_outputs(self, files, ending, tmp_path):
        for name, module in (("ours", resize), ("theirs", their_resize)):
            (tmp_path / name).mkdir()
            run = module.make_resizer("PIL", ending == ".png", "bicubic", (32, 32))
            resizer = module.FolderResizer(files, str(tmp_path / name), run, ending)
            assert len(resizer) == 3
            loaded = list(torch.utils.data.DataLoader(resizer, batch_size=2))
            assert [batch.tolist() for batch in loaded] == [[0, 0], [0]]
        names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("ours", "theirs")]
        assert names[0] == names[1]
        for name in names[0]:
            ours, theirs = (tmp_path / side / name for side in ("ours", "theirs"))
            if ending == ".npy":
                np.testing.assert_array_equal(np.load(ours), np.load(theirs))
            else:
                np.testing.assert_array_equal(np.asarray(Image.open(ours)), np.asarray(Image.open(theirs)))

    def test_names_with_dots_keep_them(self, files, tmp_path):
        """clean-fid writes ``a.0.png`` and ``a.1.png`` to one file."""
        odd = [tmp_path / f"a.{number}.png" for number in range(2)]
        for path in odd:
            Image.open(files[0]).save(path)
        out = tmp_path / "out"
        out.mkdir()
        resizer = resize.FolderResizer(odd, out, resize.make_resizer("PIL", True, "box", (8, 8)))
        assert [resizer[number] for number in range(2)] == [0, 0]
        assert sorted(path.name for path in out.iterdir()) == ["a.0.png", "a.1.png"]

    def test_errors(self, files, tmp_path):
        run = resize.build_resizer("clean")
        with pytest.raises(UsageError, match=r"several files would be written to one: 00000\.png"):
            resize.FolderResizer([files[0], tmp_path / files[0].name], tmp_path, run)
        with pytest.raises(UsageError, match=r"output_ext '\.jpg': expected"):
            resize.FolderResizer(files, tmp_path, run, ".jpg")
        with pytest.raises(UsageError, match="float32, which a PNG file does not hold"):
            resize.FolderResizer(files, tmp_path, run)[0]
        (tmp_path / "x.png").write_bytes(b"x")
        with pytest.raises(BadImageError, match=r"x\.png' cannot be read"):
            resize.FolderResizer([tmp_path / "x.png"], tmp_path, run)[0]


class TestResizeDataset:
    @pytest.mark.parametrize("mode", MODES)
    def test_items(self, folders, mode, tmp_path):
        files = sorted(map(str, folders[1].iterdir()))[:2]
        ours, theirs = (module.ResizeDataset(files, mode=mode) for module in (utils, their_utils))
        assert len(ours) == len(theirs) == 2
        for number in range(2):
            assert ours[number].dtype == torch.float32
            torch.testing.assert_close(ours[number], theirs[number], rtol=0, atol=3e-5)
        packed = utils.ResizeDataset(
            [f"a/{Path(file).name}" for file in files], mode, fdir=zipped(folders[1], tmp_path / "a.zip")
        )
        assert torch.equal(packed[1], ours[1])

    def test_functions_of_ones_own(self, folders):
        files = sorted(map(str, folders[1].iterdir()))[:1]
        found = []
        for module in (utils, their_utils):
            dataset = module.ResizeDataset(files, mode="clean")
            dataset.custom_image_tranform = lambda image: image[:32, :32]
            dataset.fn_resize = lambda image: image[::2]
            found.append(dataset[0])
        assert found[0].shape == (3, 16, 32)
        torch.testing.assert_close(*found, rtol=0, atol=3e-5)

    def test_extensions(self):
        assert {extension.lower() for extension in their_utils.EXTENSIONS} <= utils.EXTENSIONS

    def test_errors(self, tmp_path):
        with pytest.raises(UsageError, match=r"size \(64, 64\): expected \(299, 299\)"):
            utils.ResizeDataset(["a.png"], "clean", size=(64, 64))
        with pytest.raises(UsageError, match="the list of files is empty"):
            utils.ResizeDataset([], "clean")
        with pytest.raises(SourceError, match=r"a\.png"):
            utils.ResizeDataset([str(tmp_path / "a.png")], "clean")
        (tmp_path / "x.png").write_bytes(b"x")
        with pytest.raises(BadImageError, match=r"x\.png' cannot be read"):
            utils.ResizeDataset([tmp_path / "x.png"], "clean")[0]
