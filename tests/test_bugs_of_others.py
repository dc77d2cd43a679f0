"""Mistakes that other tools have, and that ours must not: one test for each that is not in a metric's own file.

Elsewhere: swapped precision and recall, neighbours off by one, half-precision distances
(tests/metrics/test_precision_recall.py, test_neighbour_pass.py); piq's radii and torchmetrics' direction of MiFID
(tests/conformance/test_peers_neighbours.py); caches keyed by names (tests/engine/test_remember.py); uneven ranks
(tests/distributed/test_two_processes.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.errors import SourceError
from genmetrics.metrics import METRICS
from support.blocks import NET, registered_blocks
from support.peers import import_peer

FD, KID, ISC = f"fd.{NET}", f"kid.{NET}", f"isc.{NET}"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def sets(smooth_images) -> tuple[np.ndarray, np.ndarray]:
    return smooth_images(30, 24, 24, seed=1), smooth_images(26, 24, 24, seed=2)


def test_the_inception_score_is_of_the_generated_set(sets):
    """dgm-eval takes the first path for the first run, which is the real set."""
    gen, ref = sets
    with_reference = gm.evaluate(gen, ref, ["isc"], extractor=NET)[ISC].value
    assert with_reference == gm.evaluate(gen, None, ["isc"], extractor=NET)[ISC].value
    assert with_reference != gm.evaluate(ref, None, ["isc"], extractor=NET)[ISC].value


def test_the_extractor_that_is_asked_for_is_the_one_that_runs(sets):
    """dgm-eval takes ``--arch`` and builds the default all the same."""
    gen, ref = sets
    blocks = gm.evaluate(gen, ref, ["fid"], extractor=NET)
    lite = gm.evaluate(gen, ref, ["fid"], extractor="efficientnet-lite0.in1k", device="cpu")
    assert list(blocks.metrics) == [FD] and list(lite.metrics) == ["fd.efficientnet-lite0.in1k"]
    assert blocks[FD].value != lite["fd.efficientnet-lite0.in1k"].value
    assert set(lite.extractors) == {"efficientnet-lite0.in1k"}


def test_a_spread_is_called_std_and_is_one(sets):
    """dgm-eval prints a standard deviation as ``kd_variance``."""
    gen, ref = sets
    result = gm.evaluate(gen, ref, ["kid"], extractor=NET)[KID]
    assert "variance" not in " ".join(result.extra)
    features = [gm.compute_stats(side, ["kid"], extractor=NET) for side in sets]
    banks = [next(iter(stats.accumulators.values())).rows() for stats in features]
    kernel = import_peer("torch_fidelity.metric_kid")
    expected = kernel.kid_features_to_metric(
        banks[0].double(), banks[1].double(), kid_subsets=100, kid_subset_size=26, verbose=False
    )
    assert result.extra["std"] == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-9)


@pytest.mark.parametrize("name", ["kid", "fdr", "mind"])
def test_draws_come_from_the_seed_alone(sets, name):
    """torchmetrics, clean-fid, StyleGAN and dgm-eval draw from global generators."""

    def value(seed: int, global_seed: int) -> float:
        np.random.seed(global_seed)  # noqa: NPY002
        torch.manual_seed(global_seed)
        [result] = gm.evaluate(*(side[:20] for side in sets), [name], extractor=NET, seed=seed).metrics.values()
        return result.value

    assert value(1, 1) == value(1, 2)
    # Subsets as large as the smaller side leave KID nothing to draw.
    assert value(1, 1) != value(2, 1) or name == "kid"


def test_how_many_images_were_used_is_known_to_the_cache(sets, tmp_path, monkeypatch):
    """StyleGAN's cache forgets ``max_items``."""
    monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path))
    few, more = (gm.evaluate(*sets, ["fid"], extractor=NET, num=num) for num in (20, 25))
    assert (few.gen.num_samples, more.gen.num_samples) == (20, 25)
    assert more.reused == ("ref",)
    assert few[FD].value != more[FD].value


def test_a_shorter_path_is_better():
    """torchmetrics says that a longer one is."""
    assert METRICS.get("ppl").higher_is_better is False
    peer = import_peer("torchmetrics.image.perceptual_path_length")
    assert peer.PerceptualPathLength.higher_is_better is True


def test_images_are_not_shrunk_first():
    """FID_IS_infinity makes images of a folder 64 x 64 before anything else."""
    for name in ("fid_inf", "isc_inf"):
        assert METRICS.get(name).preprocess == METRICS.get("fid").preprocess == "tf1-bilinear-299"


def test_antialiasing_is_no_default():
    """torchmetrics has it on since 1.8, and its KID, IS and MiFID have no switch."""
    peer = import_peer("torchmetrics.image.fid")
    assert inspect.signature(peer.FrechetInceptionDistance.__init__).parameters["antialias"].default is True
    antialiased = [info.id for info in METRICS.entries() if "antialias" in info.preprocess or "pil-" in info.preprocess]
    assert not {"fid", "kid", "isc", "mifid", "fid_inf", "intra_fid", "sfid"} & set(antialiased)


def test_floats_are_never_taken_for_pixels_unasked():
    """LPIPS of torchmetrics takes floats of 0..255 for -1..1; here a range must be stated."""
    with pytest.raises(SourceError, match=r"state the range from Python, `gm.open_source\(x, value_range=\(0, 1\)\)`"):
        gm.evaluate(torch.rand(2, 3, 8, 8) * 255, None, ["isc"], extractor=NET)


def test_importing_leaves_the_default_dtype_alone():
    """PyTorch-FWD makes float64 the default of the whole process."""
    assert torch.get_default_dtype() == torch.float32
