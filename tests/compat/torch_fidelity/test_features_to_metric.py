"""Metrics of features that are there already, beside torch-fidelity 0.4.0's functions of the same names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from genmetrics.compat.torch_fidelity.metric_isc import isc_features_to_metric
from genmetrics.compat.torch_fidelity.metric_kid import kid_features_to_metric
from genmetrics.compat.torch_fidelity.metric_mind import mind_features_to_metric
from genmetrics.compat.torch_fidelity.metric_prc import prc_features_to_metric
from genmetrics.errors import StatisticsError, UsageError
from support.peers import import_peer


def features(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, 12)) + shift
    return torch.from_numpy(values.astype(np.float32))


GEN, REF = features(60, 1, 0.4), features(50, 2)


@pytest.mark.parametrize("options", [{}, {"splits": 3}, {"shuffle": False}, {"rng_seed": 7}])
def test_isc(options):
    peer = import_peer("torch_fidelity.metric_isc")
    assert isc_features_to_metric(GEN, **options) == pytest.approx(
        peer.isc_features_to_metric(GEN, **options), rel=1e-9
    )


def test_fid(capsys):
    peer = import_peer("torch_fidelity.metric_fid")
    ours = [fid_features_to_statistics(side) for side in (GEN, REF)]
    theirs = [peer.fid_features_to_statistics(side) for side in (GEN, REF)]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine["mu"], other["mu"], atol=1e-6)
        np.testing.assert_allclose(mine["sigma"], other["sigma"], rtol=1e-5, atol=1e-6)
    expected = peer.fid_statistics_to_metric(*theirs, verbose=False)
    # Also of a float32 mean beside a float64 one, which theirs refuses.
    for pair in (ours, theirs, (ours[0], theirs[1])):
        assert fid_statistics_to_metric(*pair, verbose=False) == pytest.approx(expected, rel=1e-5)
    assert capsys.readouterr() == ("", "")
    fid_statistics_to_metric(*ours, verbose=True)
    assert capsys.readouterr().err.startswith("Frechet Inception Distance: ")


@pytest.mark.parametrize(
    "options",
    [{}, {"kid_kernel": "rbf", "kid_kernel_rbf_sigma": 2.0}, {"kid_kernel_poly_degree": 2}, {"rng_seed": 7}],
)
def test_kid(options):
    peer = import_peer("torch_fidelity.metric_kid")
    settings = {"kid_subsets": 9, "kid_subset_size": 30, "verbose": False, **options}
    expected = peer.kid_features_to_metric(GEN, REF, **settings)
    assert kid_features_to_metric(GEN, REF, **settings) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"prc_neighborhood": 5}, {"save_cpu_ram": True, "prc_batch_size": 7}])
def test_prc(options):
    peer = import_peer("torch_fidelity.metric_prc")
    expected = peer.prc_features_to_metric(GEN, REF, verbose=False, **options)
    assert prc_features_to_metric(GEN, REF, verbose=False, **options) == pytest.approx(expected, rel=1e-6)


def test_mind():
    found = mind_features_to_metric(GEN, REF, mind_num_projections=100)["monge_inception_distance"]
    assert found == mind_features_to_metric(GEN, REF, mind_num_projections=100)["monge_inception_distance"]
    assert found > mind_features_to_metric(REF, REF, mind_num_projections=100)["monge_inception_distance"] == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="the sets have 12 and 5 features; expected the same number"):
        kid_features_to_metric(GEN, REF[:, :5], kid_subset_size=20)
    with pytest.raises(StatisticsError, match="subsets of 1000 samples cannot be drawn from 60 generated images"):
        kid_features_to_metric(GEN, REF)
    stat = fid_features_to_statistics(GEN)
    with pytest.raises(UsageError, match="the statistics are of 12 and of 5 features"):
        fid_statistics_to_metric(stat, fid_features_to_statistics(REF[:, :5]), verbose=False)
    with pytest.raises(StatisticsError, match="fid_statistics_to_metric"):
        fid_statistics_to_metric(stat, {"mu": stat["mu"], "sigma": stat["sigma"][:4]}, verbose=False)
