"""The three modes from files to features and numbers, on the full network, against clean-fid 0.1.35.

Tolerances: features 1e-5 relative; FID 1e-6 relative to the exact form of clean-fid's features; KID 1e-6 absolute,
with the same draws. Few images: the network is slow here, and clean-fid's own ``sqrtm`` of 2,048² takes a minute, so
that its number is only computed in the slow test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics
from genmetrics.compat.cleanfid import fid
from support.clean_fid import CPU, MODES, Painter, their_warnings

FEW = "ignore:no more images:genmetrics.errors.GenmetricsWarning"
pytestmark = pytest.mark.filterwarnings(FEW)


@pytest.fixture(scope="module")
def few(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(5, 64, 64, seed=21, warmth=1.0), image_folder(6, 97, 60, seed=22)


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What was computed once is taken from the engine's cache: the network is slow here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMETRICS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def features(few, networks) -> dict[str, list[np.ndarray]]:
    """Ours, by the engine."""
    return {
        mode: [fid.get_folder_features(str(folder), network, mode=mode, verbose=False) for folder in few]
        for mode, network in networks.items()
    }


@pytest.fixture(scope="module")
def kept() -> dict[str, list[np.ndarray]]:
    return {}


def theirs_of(theirs, few, kept, mode) -> list[np.ndarray]:
    if mode not in kept:
        model = theirs.features.build_feature_extractor(mode, CPU, use_dataparallel=False)
        options = {"num_workers": 0, "batch_size": 4, "device": CPU, "mode": mode, "verbose": False}
        kept[mode] = [theirs.fid.get_folder_features(str(folder), model, **options) for folder in few]
    return kept[mode]


@pytest.mark.parametrize("mode", MODES)
class TestMode:
    def test_features(self, mode, features, theirs, few, kept):
        expected = theirs_of(theirs, few, kept, mode)
        for ours, other in zip(features[mode], expected, strict=True):
            assert ours.dtype == np.float32 and ours.shape == other.shape
            difference = (np.linalg.norm(ours - other, axis=1) / np.linalg.norm(other, axis=1)).max()
            print(mode, difference)
            assert difference <= 1e-5
        # Negative control: of another mode they are others.
        other = features["clean" if mode != "clean" else "legacy_pytorch"][0]
        assert np.linalg.norm(features[mode][0] - other) / np.linalg.norm(other) > 1e-3

    def test_fid(self, mode, theirs, few, kept, networks, exact):
        expected = exact(*theirs_of(theirs, few, kept, mode))
        ours = fid.compute_fid(str(few[0]), str(few[1]), mode=mode, custom_feat_extractor=networks[mode], num_workers=0)
        print(mode, ours, expected)
        assert ours == pytest.approx(expected, rel=1e-6)
        assert isinstance(ours, float)
        # The engine's own metric is the same number.
        report = genmetrics.evaluate(*few, [MODES[mode]], device="cpu")
        assert ours == pytest.approx(report[MODES[mode]].value, rel=1e-12)
        # Without the network being given, out of the cache.
        assert fid.compute_fid(*few, mode=mode, device=CPU, verbose=False) == ours

    def test_kid(self, mode, theirs, few, kept, features):
        feats = theirs_of(theirs, few, kept, mode)
        np.random.seed(2020)  # noqa: NPY002 - clean-fid draws from it
        expected = theirs.fid.kernel_distance(*feats)
        ours = fid.compute_kid(few[0], few[1], mode=mode, device="cpu", num_workers=0, verbose=False)
        print(mode, ours, expected)
        assert ours == pytest.approx(expected, abs=1e-6)
        assert fid.compute_kid(few[0], few[1], mode=mode, device="cpu", verbose=False, seed=1) != ours


@pytest.mark.parametrize(
    ("mode", "rounded"),
    # What clean-fid's TorchScript file makes of uint8 images in the mode in between is not known here.
    [(mode, rounded) for mode in MODES for rounded in (False, True) if not rounded or mode != "legacy_tensorflow"],
)
def test_generated_images(mode, rounded, theirs, networks):
    """Floats go through resize and network as they are."""
    options = {"mode": mode, "z_dim": 8, "num_gen": 2, "batch_size": 3, "device": CPU, "verbose": False}
    models = (networks[mode], theirs.features.build_feature_extractor(mode, CPU, use_dataparallel=False))
    found = []
    for module, model in zip((fid, theirs.fid), models, strict=True):
        torch.manual_seed(5)
        found.append(module.get_model_features(Painter(rounded, (97, 60)), model, **options))
    difference = (np.linalg.norm(found[0] - found[1], axis=1) / np.linalg.norm(found[1], axis=1)).max()
    print(mode, difference)
    assert difference <= 1e-5


def test_rounded_images_are_told_apart(networks):
    """Negative control."""
    options = {"z_dim": 8, "num_gen": 2, "batch_size": 2, "verbose": False}
    found = []
    for rounded in (False, True):
        torch.manual_seed(5)
        found.append(fid.get_model_features(Painter(rounded), networks["clean"], **options))
    assert np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[1]) > 1e-4


def test_the_noise_is_that_of_clean_fid(few, features, networks, theirs, small_network):
    """Of one ``torch.manual_seed``, though the folder goes through the engine and comes from its cache."""
    given: list[list[torch.Tensor]] = [[], []]
    for noise, module, model in zip(given, (fid, theirs.fid), (networks["clean"], small_network), strict=True):
        painter = Painter()
        torch.manual_seed(6)
        with their_warnings():
            module.compute_fid(
                fdir2=str(few[1]),
                gen=lambda z, noise=noise, painter=painter: noise.append(z) or painter(z),
                custom_feat_extractor=model,
                z_dim=8,
                num_gen=4,
                batch_size=2,
                num_workers=0,
                device=CPU,
                verbose=False,
            )
    assert len(given[0]) == 2
    assert all(torch.equal(*pair) for pair in zip(*given, strict=True))


def test_kid_of_the_command_line_with_the_sides_turned_round(few, features):
    """clean-fid draws of the second folder first, and genmetrics of the generated set."""
    ours = fid.compute_kid(few[0], few[1], device="cpu", verbose=False)
    report = genmetrics.evaluate(few[1], few[0], ["kid_clean"], device="cpu")
    assert ours == pytest.approx(report["kid_clean"].value, abs=1e-12)


@pytest.mark.slow
def test_clean_fids_own_number(theirs, few):
    with their_warnings():
        expected = theirs.fid.compute_fid(str(few[0]), str(few[1]), device=CPU, num_workers=0, use_dataparallel=False)
    ours = fid.compute_fid(few[0], few[1], device="cpu")
    print(ours, expected)
    assert ours == pytest.approx(expected, rel=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_generated_images_on_a_gpu(mode, networks):
    """Resized there, in another order of sums."""
    torch.manual_seed(5)
    images = Painter(size=(97, 60))(torch.randn(2, 8))
    on_gpu = fid.build_feature_extractor(mode, "cuda")
    ours, expected = (network.of_any_size(images, mode).cpu() for network in (on_gpu, networks[mode]))
    assert float(((ours - expected).norm(dim=1) / expected.norm(dim=1)).max()) <= 1e-4
