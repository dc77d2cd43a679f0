"""The Perceptual Path Length beside torch-fidelity 0.4.0's, whose NumPy keyword for percentiles is mended here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import genmetrics.compat.torch_fidelity as ours
from genmetrics.errors import StatisticsError, UsageError
from support.fidelity_pair import NOISE, SQUARES, WAY, Generator, registered
from support.peers import import_peer

theirs = import_peer("torch_fidelity")
their_ppl = import_peer("torch_fidelity.metric_ppl")

BASE: dict[str, Any] = {
    "input1_model_num_samples": 60,
    "ppl": True,
    "ppl_epsilon": 0.05,
    "ppl_sample_similarity": SQUARES,
    "ppl_sample_similarity_resize": 8,
    "ppl_discard_percentile_lower": 10,
    "ppl_discard_percentile_higher": 90,
    "batch_size": 16,
    "cuda": False,
    "verbose": False,
}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered(theirs, ours):
        yield


@pytest.fixture(autouse=True)
def _percentiles_of_today(monkeypatch) -> None:
    percentile = np.percentile

    def with_former_name(a, q, interpolation=None, method="linear"):
        return percentile(a, q, method=interpolation or method)

    monkeypatch.setattr(np, "percentile", with_former_name)


def both(num_classes: int = 0, z_type: str = "normal", **settings: Any) -> list[dict[str, Any]]:
    floats = settings.get("ppl_sample_similarity_dtype", "uint8") is None
    found = []
    for library in (ours, theirs):
        network = Generator(6, num_classes, seed=1, floats=floats)
        model = library.GenerativeModelModuleWrapper(network, 6, z_type, num_classes)
        found.append(library.calculate_metrics(input1=model, **{**BASE, **settings}))
    return found


OPTIONS: dict[str, dict[str, Any]] = {
    "ppl_epsilon": {"ppl_epsilon": 0.2},
    "ppl_sample_similarity_resize": {"ppl_sample_similarity_resize": 4},
    "ppl_sample_similarity_resize None": {"ppl_sample_similarity_resize": None},
    "ppl_sample_similarity_dtype": {"ppl_sample_similarity_dtype": None},
    "ppl_discard_percentile_lower": {"ppl_discard_percentile_lower": 30},
    "ppl_discard_percentile_lower None": {"ppl_discard_percentile_lower": None, "ppl_discard_percentile_higher": None},
    "ppl_discard_percentile_higher": {"ppl_discard_percentile_higher": 70},
    "ppl_discard_percentile_higher None": {"ppl_discard_percentile_higher": None},
    "slerp_any": {"ppl_z_interp_mode": "slerp_any"},
    "slerp_unit": {"ppl_z_interp_mode": "slerp_unit"},
    "ppl_z_interp_mode": {"ppl_z_interp_mode": WAY},
    "rng_seed": {"rng_seed": 7},
    "input1_model_num_samples": {"input1_model_num_samples": 33},
    "z_type": {"z_type": "uniform_0_1"},
    "num_classes": {"num_classes": 3, "input1_model_num_classes": 3},
}


@pytest.mark.parametrize("options", [{}, *OPTIONS.values()], ids=["defaults", *OPTIONS])
def test_number(options):
    mine, other = both(**options)
    print(mine, other)
    assert mine == pytest.approx(other, rel=1e-5)
    if options:
        assert mine != pytest.approx(both()[0], rel=1e-4)
    assert mine["perceptual_path_length_mean"] > 0


def test_lengths_that_are_not_reduced():
    mine, other = both(ppl_reduction="none")
    np.testing.assert_allclose(mine["perceptual_path_length_raw"], other["perceptual_path_length_raw"], rtol=1e-5)


def test_batch_size_changes_nothing():
    assert both(batch_size=5)[0] == pytest.approx(both()[0], rel=1e-6)


def test_a_conditional_generator_says_so_itself():
    """Theirs looks at a keyword alone and fails."""
    found = []
    for settings in ({}, {"input1_model_num_classes": 3}):
        model = ours.GenerativeModelModuleWrapper(Generator(6, 3, seed=1), 6, "normal", 3)
        found.append(ours.calculate_metrics(input1=model, **{**BASE, **settings}))
    assert found[0] == found[1]


def test_noise_of_ones_own():
    model = ours.GenerativeModelModuleWrapper(Generator(6, seed=1), 6, NOISE, 0)
    assert ours.calculate_metrics(input1=model, **BASE)["perceptual_path_length_mean"] > 0


def test_the_upper_percentile_alone():
    """Theirs gives nan."""
    lengths = both(ppl_reduction="none", ppl_discard_percentile_lower=None, ppl_discard_percentile_higher=None)[0]
    expected = lengths["perceptual_path_length_raw"]
    expected = expected[expected <= np.percentile(expected, 80, method="higher")]
    model = ours.GenerativeModelModuleWrapper(Generator(6, seed=1), 6, "normal", 0)
    settings = {**BASE, "ppl_discard_percentile_lower": None, "ppl_discard_percentile_higher": 80}
    assert ours.calculate_metrics(input1=model, **settings)["perceptual_path_length_mean"] == pytest.approx(
        float(expected.mean()), rel=1e-6
    )


def test_beside_other_metrics(image_folder):
    """Theirs leaves it out beside FID alone."""
    model = ours.GenerativeModelModuleWrapper(Generator(6, seed=1), 6, "normal", 0)
    settings = {**BASE, "input2": str(image_folder(20, 16, 16, seed=3)), "fid": True}
    extractor = {"feature_extractor": "efficientnet-lite0.in1k"}
    found = ours.calculate_metrics(input1=model, **settings, **extractor)
    assert list(found) == [
        "frechet_inception_distance",
        "perceptual_path_length_mean",
        "perceptual_path_length_std",
    ]
    assert found["perceptual_path_length_mean"] == pytest.approx(both()[0]["perceptual_path_length_mean"], rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ppl_epsilon": 0}, "ppl_epsilon 0: expected a number above 0"),
        ({"ppl_reduction": "sum"}, "ppl_reduction 'sum'"),
        ({"ppl_discard_percentile_lower": 0}, "ppl_discard_percentile_lower 0: expected more than 0 and less than 100"),
        ({"ppl_discard_percentile_lower": 60, "ppl_discard_percentile_higher": 40}, "60 is not below"),
        ({"ppl_z_interp_mode": "slerp"}, "'slerp' is not registered; .*slerp_any"),
        ({"ppl_sample_similarity": "lpips"}, "'lpips' is not registered; .*lpips-vgg16"),
        ({"input1_model_num_samples": None}, "needs the number of steps to take"),
    ],
)
def test_mistakes(settings, message):
    model = ours.GenerativeModelModuleWrapper(Generator(6, seed=1), 6, "normal", 0)
    with pytest.raises(UsageError, match=message):
        ours.calculate_metrics(input1=model, **{**BASE, **settings})


def test_what_is_no_generator(image_folder):
    with pytest.raises(UsageError, match="a path length is of a generator"):
        ours.calculate_metrics(input1=str(image_folder(2, 16, 16, seed=3)), **BASE)


def test_lengths_that_are_no_numbers():
    network = Generator(6, seed=1, floats=True)
    network.weight.data[:] = torch.nan
    model = ours.GenerativeModelModuleWrapper(network, 6, "normal", 0)
    with pytest.raises(StatisticsError, match="the length of step 0 is nan"):
        ours.calculate_metrics(input1=model, **{**BASE, "ppl_sample_similarity_dtype": None})
