"""``sfid``, ``fid_clean`` and ``kid_clean`` against torch-fidelity's network, ADM's files and clean-fid 0.1.35.

All sides share one seeded random set of weights. Tolerances: spatial features 1e-5 relative (reached: bit-equal);
clean-fid's features 1e-5 relative (bit-equal), its Fréchet distance 2e-6 relative at full rank (1e-12) and 1e-9 to the
exact form below (1e-15), its kernel distance 1e-6 absolute (4e-8) and 1e-12 where it is fed float64 (1e-16).
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import genmetrics
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.report.report import Report
from genmetrics.stats.stats import Stats
from genmetrics.types import Need
from support.peers import import_peer

cleanfid = import_peer("cleanfid.fid")
fidelity = import_peer("torch_fidelity.feature_extractor_inceptionv3")
pytorch_fid = import_peer("pytorch_fid.inception")

# Of the reference's size Pillow 13 resizes the rows first too, as every Pillow did before it.
GEN, REF = (5, 40, 72), (6, 310, 330)


@pytest.fixture(scope="module")
def extractor(inception_weights: Path) -> Extractor:
    return load_extractor("inception-v3.tf2015", inception_weights)


def moments_of(features: np.ndarray) -> Moments:
    moments = Moments(features.shape[1])
    moments.update(torch.from_numpy(features), torch.arange(len(features)))
    return moments


def exact_frechet(gen: np.ndarray, ref: np.ndarray) -> float:
    """By the nuclear norm of the samples' cross-Gram matrix, in NumPy alone."""
    rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (gen, ref)]
    overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap)


@pytest.fixture(scope="module")
def maps(inception_weights: Path) -> Callable[[Tensor], Tensor]:
    """The peer's network up to the convolution that ADM's evaluator calls ``mixed_6/conv``."""
    network = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["768"], feature_extractor_weights_path=str(inception_weights)
    )
    kept: list[Tensor] = []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))

    def run(images: Tensor) -> Tensor:
        kept.clear()
        with torch.no_grad():
            network(images)
        return kept[0]

    return run


@pytest.fixture(scope="module")
def adm_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, float]]:
    rng = np.random.default_rng(0)
    sides: list[dict[str, np.ndarray]] = [{}, {}]
    expected = {}
    for metric, end, width in (("fid", "", 2048), ("sfid", "_s", 2023)):
        for side in sides:
            side[f"mu{end}"] = rng.uniform(0, 0.1, width)
            side[f"sigma{end}"] = np.diag(rng.uniform(0.01, 0.1, width))
        shift = sides[0][f"mu{end}"] - sides[1][f"mu{end}"]
        spread = [np.sqrt(np.diag(side[f"sigma{end}"])) for side in sides]
        expected[metric] = float(shift @ shift + np.square(spread[0] - spread[1]).sum())
    folder = tmp_path_factory.mktemp("adm")
    for name, side in zip(("gen.npz", "ref.npz"), sides, strict=True):
        np.savez(folder / name, **side)
    return folder / "gen.npz", folder / "ref.npz", expected


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(*GEN, seed=31, warmth=2.0), image_folder(*REF, seed=32)


@pytest.fixture(scope="module")
def theirs(folders: tuple[Path, Path], inception_weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """The features of both folders through clean-fid's own pass, on pytorch-fid's network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: torch.load(inception_weights))
        network = pytorch_fid.InceptionV3([3], resize_input=False, normalize_input=False).eval()

    def model(x: Tensor) -> Tensor:
        return network((x - 128) / 128)[0].flatten(1)

    options = {"num_workers": 0, "batch_size": 8, "device": torch.device("cpu"), "mode": "clean", "verbose": False}
    gen, ref = (cleanfid.get_folder_features(str(folder), model, **options) for folder in folders)
    return gen, ref


@pytest.fixture(scope="module")
def ours(folders: tuple[Path, Path], inception_weights: Path) -> tuple[Stats, Stats]:
    names = ["fid_clean", "kid_clean", "fid", "kid"]
    gen, ref = (genmetrics.compute_stats(side, names, weights=inception_weights, device="cpu") for side in folders)
    return gen, ref


@pytest.fixture(scope="module")
def layer_by_layer(folders: tuple[Path, Path], inception_weights: Path) -> Report:
    return genmetrics.evaluate(
        *folders, ["fid_clean"], weights=inception_weights, device="cpu", backend="reference", cache=False
    )


@pytest.fixture(scope="module")
def report(ours: tuple[Stats, Stats]) -> Report:
    return genmetrics.evaluate(*ours, ["fid_clean", "kid_clean", "fid", "kid"])


class TestSpatialFeatures:
    @pytest.mark.parametrize("size", [(64, 48), (320, 400)])
    def test_are_seven_channels_with_the_channel_fastest(self, extractor, maps, smooth_images, size):
        images = torch.from_numpy(smooth_images(2, *size, seed=3)).permute(0, 3, 1, 2).contiguous()
        theirs = maps(images)
        assert theirs.shape == (2, 192, 17, 17)
        expected = theirs.movedim(1, -1)[..., :7].flatten(1).double()
        ours = extractor(images, ["2023"])["2023"].double()
        difference = float(((ours - expected).norm(dim=1) / expected.norm(dim=1)).max())
        print(difference)
        assert difference <= 1e-5
        # Negative control: the same numbers in PyTorch's own order.
        other_order = theirs[:, :7].flatten(1).double()
        assert float((ours - other_order).norm() / ours.norm()) > 0.1

    def test_another_order_of_one_side_is_another_distance(self, extractor, maps, smooth_images):
        gen, ref = (
            torch.from_numpy(smooth_images(3, 64, 64, seed=seed)).permute(0, 3, 1, 2).contiguous() for seed in (1, 2)
        )
        hwc = [extractor(side, ["2023"])["2023"].numpy() for side in (gen, ref)]
        chw = maps(gen)[:, :7].flatten(1).numpy()
        right = frechet_distance(moments_of(hwc[0]), moments_of(hwc[1]))
        wrong = frechet_distance(moments_of(chw), moments_of(hwc[1]))
        print(right, wrong)
        assert wrong > 1.5 * right

    def test_no_layer_beyond_them_is_run(self, inception_weights, smooth_images):
        extractor = load_extractor("inception-v3.tf2015", inception_weights)
        network = extractor.network  # which the backend takes over
        extractor.to(torch.device("cpu"), "exact", "reference")
        ran: list[str] = []
        hooks = [
            module.register_forward_hook(lambda module, inputs, output, name=name: ran.append(name))
            for name, module in network.named_children()
        ]
        images = torch.from_numpy(smooth_images(1, 64, 64, seed=3)).permute(0, 3, 1, 2)
        extractor(images, ["2023"])
        assert ran[-1] == "Mixed_6c"
        ran.clear()
        alone, both = extractor(images, ["2023"]), extractor(images, ["2023", "2048"])
        assert torch.equal(alone["2023"], both["2023"]) and ran[-1] == "Mixed_7c"
        for hook in hooks:
            hook.remove()


class TestAdmFiles:
    """Two of ADM's reference files, for which the distances are known: their covariances are diagonal."""

    def test_both_distances(self, adm_files):
        """``fid`` by its moments only: singular values of a second matrix of 2,048² would show nothing more."""
        gen, ref, expected = adm_files
        report = genmetrics.evaluate(gen, ref, ["sfid"], device="cpu")
        print(report["sfid"].value, expected)
        assert report["sfid"].value == pytest.approx(expected["sfid"], rel=1e-9)
        assert report["sfid"].value != pytest.approx(expected["fid"], rel=1e-3)
        for path in (gen, ref):
            need = Need("inception-v3.tf2015", "tf1-bilinear-299", "2048", "moments")
            moments, arrays = Stats.load(path).get(need), np.load(path)
            assert np.array_equal(moments.mean(), arrays["mu"])
            np.testing.assert_allclose(moments.covariance(), arrays["sigma"], rtol=1e-15)
        assert str(report["sfid"].protocol) == "inception-v3.tf2015/2023/tf1-bilinear-299"


class TestCleanFid:
    @pytest.mark.parametrize("side", [0, 1])
    def test_features(self, ours, theirs, side):
        need = Need("inception-v3.tf2015", "pil-bicubic-f32-299", "2048", "feature_bank")
        rows = ours[side].get(need).rows().double().numpy()
        difference = np.linalg.norm(rows - theirs[side], axis=1) / np.linalg.norm(theirs[side], axis=1)
        print(difference.max())
        assert difference.max() <= 1e-5
        assert np.linalg.norm(rows[0] - rows[1]) / np.linalg.norm(rows[0]) > 1e-2

    def test_distance_end_to_end(self, report, layer_by_layer, theirs):
        gen, ref = (side.astype(np.float64) for side in theirs)
        expected = exact_frechet(gen, ref)
        print(layer_by_layer["fid_clean"].value, report["fid_clean"].value, expected, report["fid"].value)
        assert layer_by_layer["fid_clean"].value == pytest.approx(expected, rel=1e-9)
        assert report["fid_clean"].value == pytest.approx(expected, rel=1e-6)
        # Negative control: the other resize.
        assert report["fid"].value != pytest.approx(expected, rel=1e-3)

    def test_kernel_distance_end_to_end(self, report, theirs):
        np.random.seed(2020)  # noqa: NPY002 - the peer draws from it
        # As compute_kid calls it: the reference first, of which it draws second.
        expected = cleanfid.kernel_distance(theirs[1], theirs[0])
        swapped = cleanfid.kernel_distance(theirs[0], theirs[1])
        print(report["kid_clean"].value, expected, swapped)
        assert report["kid_clean"].value == pytest.approx(expected, abs=1e-6)
        for other in (swapped, report["kid"].value):
            assert abs(report["kid_clean"].value - other) > 1e-5

    @pytest.mark.parametrize("sizes", [(400, 300, 100), (150, 220, 150)])
    def test_kernel_distance_of_float64(self, sizes):
        rng = np.random.default_rng(1)
        gen, ref = (rng.gamma(1.0, 0.4, (count, 64)).astype(np.float32) for count in sizes[:2])
        np.random.seed(2020)  # noqa: NPY002 - the peer draws from it
        expected = cleanfid.kernel_distance(ref.astype(np.float64), gen.astype(np.float64), 100, sizes[2])
        ours = float(kernel_distances(torch.from_numpy(gen), torch.from_numpy(ref), 100, sizes[2], seed=2020).mean())
        print(ours, expected)
        assert ours == pytest.approx(expected, abs=1e-12)
        other_seed = float(
            kernel_distances(torch.from_numpy(gen), torch.from_numpy(ref), 100, sizes[2], seed=2021).mean()
        )
        assert sizes[2] == min(sizes[:2]) or other_seed != pytest.approx(expected, abs=1e-6)

    def test_frechet_distance_at_full_rank(self):
        rng = np.random.default_rng(0)
        gen, ref = (rng.standard_normal((900, 192)) @ rng.standard_normal((192, 192)) / 14 for _ in range(2))
        with scipy_warnings_of_the_peer():
            expected = cleanfid.frechet_distance(
                gen.mean(axis=0), np.cov(gen, rowvar=False), ref.mean(axis=0), np.cov(ref, rowvar=False)
            )
        ours = frechet_distance(moments_of(gen), moments_of(ref))
        print(ours, expected)
        assert ours == pytest.approx(expected, rel=2e-6)
        assert frechet_distance(moments_of(gen[:-9]), moments_of(ref)) != pytest.approx(expected, rel=2e-6)


class TestOtherNetworks:
    """The networks and preprocessings have tests of their own; here, that each id puts the right two together."""

    @pytest.mark.parametrize(
        ("name", "protocol"),
        [
            # cleanfid.clip_features
            ("clip_fid", "clip-vit-b32.openai/embedding/pil-bicubic-crop-224-clip"),
            # dgm_eval.models.dinov2
            ("fd_dinov2", "dinov2-vitl14.lvd142m/cls/pil-bicubic-224-imagenet"),
            # edm2/calculate_metrics.py
            ("fd_dinov2_edm2", "dinov2-vitl14.lvd142m/cls/torch-bicubic-antialias-224"),
            # torch_fidelity.feature_extractor_dinov2
            ("fd_dinov2_tf1", "dinov2-vitl14.lvd142m/cls/tf1-bilinear-224-imagenet"),
        ],
    )
    def test_protocol(self, name, protocol):
        assert str(METRICS.get(name).protocol) == protocol

    def test_files_of_edm2_compare(self, tmp_path):
        """Their mean and covariance are of ``fd_dinov2_edm2`` and of no other DINOv2 distance."""
        sides = []
        for number, scale in enumerate((1.0, 2.0)):
            moments = {"mu": np.full(1024, 0.1 * number), "sigma": scale**2 * np.eye(1024)}
            sides.append(tmp_path / f"{number}.pkl")
            sides[-1].write_bytes(pickle.dumps({"num_images": 50_000, "fd_dinov2": moments}))
        expected = 1024 * (0.1**2 + (2 - 1) ** 2)
        found = genmetrics.evaluate(*sides, ["fd_dinov2_edm2"])["fd_dinov2_edm2"].value
        assert found == pytest.approx(expected, rel=1e-9)
        with pytest.raises(StatisticsError, match="Ask for 'fd_dinov2_edm2'"):
            genmetrics.evaluate(*sides, ["fd_dinov2"])


@contextmanager
def scipy_warnings_of_the_peer() -> Iterator[None]:
    """clean-fid passes sqrtm an argument that SciPy deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        yield
