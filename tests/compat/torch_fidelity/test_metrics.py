"""``calculate_metrics`` beside torch-fidelity 0.4.0's: the same keywords, keys and numbers on the same images.

Tolerances, and why: the Inception Score 1e-6 relative on equal logits, 2e-5 where two engines compute them in float32;
KID 1e-6 absolute and 1e-4 relative (theirs is float32); precision and recall but for theirs being float32; FID 1e-6
relative to the exact distance of their own features where there are fewer images than dimensions, and 1e-3 to their
number, which carries the noise of their eigenvalues.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
import genmetrics.compat.torch_fidelity as ours
from genmetrics.compat.torch_fidelity.settings import Settings
from genmetrics.errors import GenmetricsWarning, SourceError, StatisticsError, UsageError
from support.fidelity_pair import BLOCKS, NOISE, Generator, registered
from support.peers import import_peer

theirs = import_peer("torch_fidelity")
their_defaults = import_peer("torch_fidelity.defaults")

ALL = {"isc": True, "fid": True, "kid": True, "prc": True}
SIZES = (40, 32)
QUIET = {"cuda": False, "verbose": False}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered(theirs, ours):
        yield


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(SIZES[0], 24, 32, seed=31, warmth=3.0), image_folder(SIZES[1], 40, 28, seed=32)


def both(**settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = {**QUIET, **settings}
    return ours.calculate_metrics(**settings), theirs.calculate_metrics(save_cpu_ram=True, **settings)


def assert_alike(mine: dict[str, Any], other: dict[str, Any], rel: float = 1e-6) -> None:
    print(mine, other, sep="\n")
    assert list(mine) == list(other)
    for key, value in mine.items():
        assert isinstance(value, float)
        if key == "frechet_inception_distance":
            # Theirs: a mean in float32, and eigenvalues of a product that has no full rank.
            assert value == pytest.approx(other[key], rel=1e-3)
        elif key.startswith("kernel"):
            assert value == pytest.approx(other[key], abs=1e-6, rel=1e-4)
        else:
            assert value == pytest.approx(other[key], rel=rel)


OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "isc_splits": {"isc_splits": 4},
    "samples_shuffle": {"samples_shuffle": False},
    "rng_seed": {"rng_seed": 7},
    "kid_subsets": {"kid_subsets": 5},
    "kid_subset_size": {"kid_subset_size": 9},
    "kid_kernel_rbf_sigma": {"kid_kernel": "rbf", "kid_kernel_rbf_sigma": 2.5},
    "kid_kernel_poly_degree": {"kid_kernel_poly_degree": 2},
    "kid_kernel_poly_gamma": {"kid_kernel_poly_gamma": 0.01},
    "kid_kernel_poly_coef0": {"kid_kernel_poly_coef0": 0.5},
    "prc_neighborhood": {"prc_neighborhood": 2},
    "prc_batch_size": {"prc_batch_size": 7},
    "batch_size": {"batch_size": 5},
    "feature_layers": {
        "feature_layer_isc": "grid",
        "feature_layer_fid": "mean",
        "feature_layer_kid": "classes",
        "feature_layer_prc": "mean",
    },
    "samples_resize_and_crop": {"samples_resize_and_crop": 20},
    "one metric": {"isc": False, "kid": False, "prc": False},
    "cache": {"cache": False},
}


def with_options(folders: tuple[Path, Path], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    common = {"input1": str(folders[0]), "input2": str(folders[1]), "feature_extractor": BLOCKS, **ALL}
    return both(**{**common, "kid_subset_size": 25, "kid_subsets": 20, **options})


@pytest.fixture(scope="module")
def default(folders) -> dict[str, float]:
    return with_options(folders, {})[0]


class TestOptions:
    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
    def test_number(self, folders, options, default):
        mine, other = with_options(folders, options)
        assert_alike(mine, other)
        # Negative control: but for these the option moves a number.
        without_effect = ("batch_size", "prc_batch_size", "cache", "isc")
        moves = bool(options) and not any(name in options for name in without_effect)
        assert moves == any(mine[key] != pytest.approx(default[key], rel=1e-6) for key in mine)

    def test_every_keyword_of_theirs_is_one_of_ours_with_the_same_default(self):
        parameters = inspect.signature(ours.calculate_metrics).parameters
        for name, default in their_defaults.DEFAULTS.items():
            assert parameters[name].default == default, name
            assert getattr(Settings, name) == default, name
        more = set(parameters) - set(their_defaults.DEFAULTS)
        assert more == {
            "mind", "feature_layer_mind", "mind_num_projections", "fid_statistics_file", "kid_degree", "kid_gamma",
            "kid_coef0",
        }  # fmt: skip

    def test_keys_are_theirs(self):
        keys = [name for name in dir(theirs) if name.startswith("KEY_METRIC")]
        assert len(keys) >= 11
        for name in keys:
            assert getattr(ours, name) == getattr(theirs, name)
        for name in ("calculate_metrics", "register_dataset", "GenerativeModelModuleWrapper", "FeatureExtractorBase"):
            assert name in ours.__all__


@pytest.fixture(scope="module")
def results(folders, inception_weights, tmp_path_factory):
    settings = {
        "input1": str(folders[0]),
        "input2": str(folders[1]),
        "feature_extractor": "inception-v3-compat",
        "feature_extractor_weights_path": str(inception_weights),
        "feature_layer_isc": "logits",
        "feature_layer_kid": "768",
        "feature_layer_prc": "192",
        "kid_subset_size": 25,
        "batch_size": 16,
        **ALL,
    }
    root = tmp_path_factory.mktemp("cache")
    names = {"input1_cache_name": "gen", "input2_cache_name": "ref", "cache_root": str(root)}
    return both(**settings, **names), root


class TestOnInception:
    """The default networks, on one file of seeded random weights."""

    def test_numbers(self, results):
        assert_alike(*results[0], rel=2e-5)

    def test_fid_is_the_exact_distance_of_their_features(self, results):
        (mine, _), root = results
        sides = [
            torch.load(root / f"{name}-inception-v3-compat-features-2048.pt").double().numpy()
            for name in ("gen", "ref")
        ]
        rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in sides]
        overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
        shift = sides[0].mean(axis=0) - sides[1].mean(axis=0)
        exact = shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap
        assert mine["frechet_inception_distance"] == pytest.approx(exact, rel=1e-6)

    def test_statistics_of_theirs_are_a_reference_for_ours(self, results, folders, inception_weights):
        (mine, _), root = results
        found = ours.calculate_metrics(
            str(folders[0]),
            fid=True,
            fid_statistics_file=str(root / "ref-inception-v3-compat-stat-fid-2048.pt"),
            feature_extractor_weights_path=str(inception_weights),
            **QUIET,
        )
        # Their mean is float32.
        assert found["frechet_inception_distance"] == pytest.approx(mine["frechet_inception_distance"], rel=1e-5)

    def test_our_statistics_lie_apart_from_their_cache(self, results):
        root = results[1]
        assert len(list((root / "genmetrics").rglob("*.safetensors"))) > 0
        assert {path.suffix for path in root.iterdir() if path.is_file()} == {".pt"}


class TestInputs:
    def test_positional_inputs(self, folders):
        named = ours.calculate_metrics(
            input1=str(folders[0]), input2=str(folders[1]), feature_extractor=BLOCKS, fid=True, **QUIET
        )
        given = ours.calculate_metrics(str(folders[0]), str(folders[1]), feature_extractor=BLOCKS, fid=True, **QUIET)
        assert given == named

    @pytest.mark.parametrize("num_classes", [0, 5])
    def test_generators(self, folders, num_classes, monkeypatch):
        monkeypatch.setattr(np, "int", int, raising=False)  # which they still use for classes
        made = {}
        for library in (ours, theirs):
            model = library.GenerativeModelModuleWrapper(Generator(6, num_classes, seed=1), 6, "normal", num_classes)
            made[library] = library.calculate_metrics(
                input1=model,
                input1_model_num_samples=30,
                input2=str(folders[1]),
                feature_extractor=BLOCKS,
                kid_subset_size=20,
                batch_size=8,
                save_cpu_ram=True,
                **ALL,
                **QUIET,
            )
        assert_alike(made[ours], made[theirs])

    @pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
    @pytest.mark.parametrize("z_type", ["normal", "uniform_0_1", NOISE])
    def test_generator_in_a_file(self, tmp_path, z_type):
        path = tmp_path / "generator.pth"
        torch.jit.save(torch.jit.trace(Generator(6, seed=1), torch.zeros(2, 6)), path)
        settings = {
            "input1": str(path),
            "input1_model_z_size": 6,
            "input1_model_z_type": z_type,
            "input1_model_num_samples": 30,
            "feature_extractor": BLOCKS,
            "isc": True,
        }
        if z_type == NOISE:  # their wrapper refuses what was registered
            assert ours.calculate_metrics(**settings, **QUIET)["inception_score_mean"] > 1
            return
        assert_alike(*both(**settings))

    def test_datasets(self, folders):
        class Images(torch.utils.data.Dataset):
            def __init__(self, seed):
                self.images = torch.from_numpy(
                    np.random.RandomState(seed).randint(0, 255, (30, 3, 16, 16)).astype(np.uint8)
                )

            def __len__(self):
                return len(self.images)

            def __getitem__(self, index):
                return self.images[index]

        settings = {"feature_extractor": BLOCKS, "kid_subset_size": 20, **ALL}
        assert_alike(*both(input1=Images(1), input2=Images(2), **settings))
        for library in (ours, theirs):
            library.register_dataset("images-of-a-test", lambda root, download: Images(2))
        try:
            assert_alike(*both(input1=Images(1), input2="images-of-a-test", **settings))
        finally:
            for library in (ours, theirs):
                registry = __import__(f"{library.__name__}.registry", fromlist=["x"])
                del registry.DATASETS_REGISTRY["images-of-a-test"]

    def test_subfolders_and_extensions(self, folders, tmp_path):
        for number, path in enumerate(sorted(folders[0].iterdir())):
            target = tmp_path / ("deep" if number % 2 else "")
            target.mkdir(exist_ok=True)
            Image.open(path).save(target / f"{number}.{'bmp' if number % 3 else 'png'}")
        settings = {"input1": str(tmp_path), "feature_extractor": BLOCKS, "isc": True, "isc_splits": 2}
        results = [
            both(**settings, samples_find_deep=deep, samples_find_ext=extensions)
            for deep, extensions in ((True, "png,bmp"), (False, "bmp"), (True, "png"))
        ]
        for mine, other in results:
            assert_alike(mine, other)
        assert len({mine["inception_score_mean"] for mine, _ in results}) == 3


@pytest.fixture(scope="module")
def npz(folders, tmp_path_factory):
    network = theirs.registry.FEATURE_EXTRACTORS_REGISTRY[BLOCKS](BLOCKS, ["grid"])
    images = torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in sorted(folders[1].iterdir())])
    with torch.no_grad():
        features = network(images.permute(0, 3, 1, 2))[0].double().numpy()
    path = tmp_path_factory.mktemp("stats") / "ref.npz"
    np.savez(path, mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
    return path


class TestFork:
    """``fid_statistics_file`` of the fork that many diffusion models are evaluated with."""

    def test_in_place_of_the_second_input(self, folders, npz):
        settings = {"input1": str(folders[0]), "feature_extractor": BLOCKS, "fid": True, **QUIET}
        found = ours.calculate_metrics(input2=None, fid_statistics_file=str(npz), isc=True, **settings)
        images = ours.calculate_metrics(input2=str(folders[1]), isc=True, **settings)
        assert found == pytest.approx(images, rel=1e-6)
        # FID alone: the fork has not read the file then.
        assert (
            ours.calculate_metrics(fid_statistics_file=str(npz), **settings)["frechet_inception_distance"]
            == (found["frechet_inception_distance"])
        )

    def test_a_second_input_goes_before_and_is_told(self, folders, npz):
        settings = {"input1": str(folders[0]), "feature_extractor": BLOCKS, "fid": True, **QUIET}
        with pytest.warns(GenmetricsWarning, match="FID is computed against input2, and '.*ref.npz' is not used"):
            found = ours.calculate_metrics(input2=str(folders[0]), fid_statistics_file=str(npz), **settings)
        assert found["frechet_inception_distance"] == pytest.approx(0, abs=1e-6)

    def test_other_metrics_need_the_images(self, folders, npz):
        with pytest.raises(UsageError, match="'kid' compares with a second input, and none was given"):
            ours.calculate_metrics(str(folders[0]), fid=True, kid=True, fid_statistics_file=str(npz), **QUIET)

    def test_without_fid(self, folders, npz):
        with pytest.raises(UsageError, match="fid_statistics_file was given, and 'fid' was not asked for"):
            ours.calculate_metrics(str(folders[0]), isc=True, fid_statistics_file=str(npz), **QUIET)


class TestMind:
    def test_is_ours_of_the_same_features(self, folders):
        found = ours.calculate_metrics(
            *map(str, folders), feature_extractor=BLOCKS, mind=True, mind_num_projections=50, **QUIET
        )
        assert list(found) == ["monge_inception_distance"]
        more = ours.calculate_metrics(
            *map(str, folders), feature_extractor=BLOCKS, mind=True, feature_layer_mind="mean", **QUIET
        )
        assert found["monge_inception_distance"] != more["monge_inception_distance"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"input1": "."}, UsageError, "no metric was asked for; at least one of isc, fid, kid, prc, ppl and mind"),
            ({"isc": True}, UsageError, "input1 is needed for all metrics"),
            ({"fid": True, "input1": "."}, UsageError, "'fid' compares with a second input, and none was given; add"),
            ({"isc": True, "input1": "cifar10-trian"}, SourceError, "did you mean 'cifar10-train'"),
            ({"isc": True, "isc_splits": 0}, UsageError, "isc_splits 0: expected at least 1"),
            ({"kid": True, "kid_kernel": "rfb"}, UsageError, "kid_kernel 'rfb'"),
            ({"kid": True, "kid_kernel": "rbf", "kid_kernel_rbf_sigma": 0}, UsageError, "kid_kernel_rbf_sigma 0"),
            ({"kid": True, "kid_subsets": 0}, UsageError, "kid_subsets 0: expected at least 1"),
            ({"kid": True, "kid_subset_size": 1}, UsageError, "kid_subset_size 1: expected at least 2"),
            ({"kid": True}, StatisticsError, "subsets of 1000 samples cannot be drawn from 40 generated images; ask"),
            ({"prc": True, "prc_neighborhood": 0}, UsageError, "prc_neighborhood 0: expected at least 1"),
            ({"fid": True, "feature_layer_fid": "gird"}, UsageError, "gird"),
            ({"fid": True, "feature_extractor": "blocks"}, UsageError, "blocks"),
            ({"isc": True, "isc_splits": 50}, StatisticsError, "40 image"),
        ],
    )
    def test_are_errors_that_say_what_to_type(self, folders, settings, error, message):
        given = {"feature_extractor": BLOCKS, **settings}
        if "input1" not in given and message != "input1 is needed for all metrics":
            given |= {"input1": str(folders[0]), "input2": str(folders[1])}
        with pytest.raises(error, match=message):
            ours.calculate_metrics(**given, **QUIET)

    def test_unknown_keywords_are_errors(self, folders):
        with pytest.raises(TypeError, match="isc_split"):
            ours.calculate_metrics(str(folders[0]), isc=True, isc_split=2)

    def test_former_names_still_work(self, folders):
        settings = {"feature_extractor": BLOCKS, "kid": True, "kid_subset_size": 20, "kid_subsets": 5, **QUIET}
        with pytest.warns(FutureWarning, match="'kid_degree' is now called 'kid_kernel_poly_degree'"):
            former = ours.calculate_metrics(*map(str, folders), kid_degree=2, **settings)
        assert former == ours.calculate_metrics(*map(str, folders), kid_kernel_poly_degree=2, **settings)

    def test_errors_are_value_errors_as_theirs(self):
        with pytest.raises(ValueError):
            ours.calculate_metrics(isc=True)


def test_verbose_tells_what_was_found_on_standard_error(folders, capsys):
    found = ours.calculate_metrics(*map(str, folders), feature_extractor=BLOCKS, fid=True, isc=True, cuda=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"Frechet Inception Distance: {found['frechet_inception_distance']:.7g}\n" in err
    assert f"Inception Score: {found['inception_score_mean']:.7g} ± {found['inception_score_std']:.7g}\n" in err
    ours.calculate_metrics(str(folders[0]), feature_extractor=BLOCKS, isc=True, **QUIET)
    assert capsys.readouterr() == ("", "")


def test_asking_for_cuda_where_there_is_none_computes_on_the_cpu(folders, capsys):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a CUDA device")
    found = ours.calculate_metrics(str(folders[0]), feature_extractor=BLOCKS, isc=True)
    assert "no CUDA device was found; the CPU computes" in capsys.readouterr().err
    assert found == ours.calculate_metrics(str(folders[0]), feature_extractor=BLOCKS, isc=True, **QUIET)


def test_float64_is_float64(folders, inception_weights):
    """Theirs computes in float32 all the same."""
    few = [str(path) for path in sorted(folders[0].iterdir())[:4]]
    settings = {
        "isc": True,
        "isc_splits": 1,
        "feature_extractor_weights_path": str(inception_weights),
        **QUIET,
    }
    exact = ours.calculate_metrics(few, feature_extractor_internal_dtype="float64", **settings)
    single = ours.calculate_metrics(few, feature_extractor_internal_dtype="float32", **settings)
    assert exact["inception_score_mean"] == pytest.approx(single["inception_score_mean"], rel=1e-4)
    assert exact != single


def test_every_other_source_of_ours_is_an_input(folders, tmp_path):
    images = np.stack([np.array(Image.open(path)) for path in sorted(folders[0].iterdir())])
    np.savez(tmp_path / "images.npz", arr_0=images)
    settings = {"feature_extractor": BLOCKS, "isc": True, **QUIET}
    expected = ours.calculate_metrics(str(folders[0]), **settings)
    assert ours.calculate_metrics(str(tmp_path / "images.npz"), **settings) == expected
    assert ours.calculate_metrics(gm.open_source(images), **settings) == expected
