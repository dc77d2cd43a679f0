"""``CleanFID``, images that come one batch at a time, against clean-fid 0.1.35 on the full network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.cleanfid import wrappers
from genmetrics.compat.cleanfid.wrappers import CleanFID
from genmetrics.errors import StatisticsError, UsageError
from support.clean_fid import CPU, MODES

pytestmark = [
    pytest.mark.filterwarnings("ignore:no more images:genmetrics.errors.GenmetricsWarning"),
    pytest.mark.usefixtures("shared_networks"),
]


@pytest.fixture
def measure(shared_networks) -> CleanFID:
    return CleanFID(device="cpu")


@pytest.mark.parametrize("mode", MODES)
def test_features(mode, theirs, smooth_images):
    """Of a Pillow image, an array, and a batch of floats."""
    measure, other = CleanFID(mode=mode, device="cpu"), theirs.wrappers.CleanFID(mode=mode, device=CPU)
    images = smooth_images(2, 64, 64, seed=9)
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float() + 0.25
    given = [Image.fromarray(images[0]), images[1], floats]
    if mode == "legacy_tensorflow":
        # clean-fid's file gets uint8 there, and what it makes of that is not known here.
        given = [floats]
    for x in given:
        ours, expected = measure.compute_features(x), other.compute_features(x)
        assert ours.shape == expected.shape and ours.dtype == np.float32
        difference = (np.linalg.norm(ours - expected, axis=1) / np.linalg.norm(expected, axis=1)).max()
        print(mode, difference)
        assert difference <= 1e-5


def test_distance(measure, exact, smooth_images, capsys):
    real, made = smooth_images(3, 64, 64, seed=1), smooth_images(2, 64, 64, seed=2, warmth=1.0)
    measure.add_real_images(torch.from_numpy(real).permute(0, 3, 1, 2))
    for image in made:
        measure.add_gen_images(image)
    feats = [np.concatenate(kept) for kept in (measure.real_features, measure.gen_features)]
    assert [len(side) for side in feats] == [3, 2]
    capsys.readouterr()
    found = measure.calculate_fid()
    assert capsys.readouterr().out == "# real images = 3\n# generated images = 2\n"
    assert found == pytest.approx(exact(*feats), rel=1e-9)
    assert measure.calculate_fid(verbose=False) == found and capsys.readouterr().out == ""
    measure.reset_gen_features()
    with pytest.raises(StatisticsError, match=r"no generated images were added; call add_gen_images\(images\) first"):
        measure.calculate_fid()
    measure.reset_real_features()
    with pytest.raises(StatisticsError, match="no real images were added"):
        measure.calculate_fid()


def test_kinds_of_pillow_images(theirs, smooth_images):
    """Grey ones fail in clean-fid; of transparent ones the hidden colour counts, as with ``convert("RGB")``."""
    image = Image.fromarray(smooth_images(1, 64, 64, seed=4)[0])
    transparent = image.copy()
    transparent.putalpha(100)
    for kind in (image, transparent, image.convert("L"), image.convert("P"), image.convert("CMYK")):
        expected = torch.from_numpy(np.array(kind.convert("RGB"))).permute(2, 0, 1)[None]
        assert torch.equal(wrappers._batch(kind), expected)
    with pytest.raises(IndexError):
        theirs.wrappers.CleanFID(device=CPU).compute_features(image.convert("L"))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 8, 9), (1, 3, 8, 9)), ((2, 3, 8, 9), (2, 3, 8, 9)), ((1, 8, 9), (1, 3, 8, 9)), ((2, 4, 8, 9), (2, 3, 8, 9))],
)
def test_tensors(shape, expected):
    assert tuple(wrappers._batch(torch.zeros(shape, dtype=torch.uint8)).shape) == expected


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(8, 8), r"images have shape \(8, 8\), expected \(3, h, w\)"),
        (torch.zeros(1, 8, 8, 3), r"images have shape \(1, 8, 8, 3\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "images are torch.int64, expected uint8 or floats"),
        (torch.full((3, 8, 8), torch.nan), "NaN or infinity"),
        (np.zeros((8, 8, 3), np.int32), "an image is int32"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"an image has shape \(1, 8, 8, 3\)"),
        ("image.png", "an image is a str, expected a Pillow image"),
    ],
)
def test_what_is_no_image(x, said):
    with pytest.raises(UsageError, match=said):
        wrappers._batch(x)


def test_names():
    with pytest.raises(UsageError, match="mode 'cleam': did you mean 'clean'"):
        CleanFID(mode="cleam", device="cpu")
    with pytest.raises(UsageError, match="model_name 'clip'"):
        CleanFID(model_name="clip", device="cpu")
