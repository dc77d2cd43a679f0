"""KID with clean-fid's draws: 1e-6 absolute, since its kernels are of float32 (reached: 3e-8)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.cleanfid import fid
from genmetrics.errors import StatisticsError, UsageError
from support.clean_fid import CPU, MODES, Painter


class TestKid:
    """On the small network, which stands in for the mode's; clean-fid draws from NumPy's own generator."""

    @pytest.fixture(autouse=True)
    @staticmethod
    def _networks(theirs, small_network, monkeypatch):
        from genmetrics.compat.cleanfid import passes

        monkeypatch.setattr(theirs.fid, "build_feature_extractor", lambda *_, **__: small_network)
        monkeypatch.setattr(passes, "network_of", lambda *_, **__: small_network)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("pair", ["folders", "folder and set", "generator and folder", "generator and set"])
    def test_number(self, theirs, folders, custom_set, pair, mode, capsys):
        known = {"dataset_name": custom_set, "dataset_split": "custom"}
        made = {"gen": Painter(), "z_dim": 8, "num_gen": 20}
        options = {
            "folders": {"fdir1": str(folders[0]), "fdir2": str(folders[1])},
            "folder and set": {"fdir1": str(folders[0]), **known},
            "generator and folder": {"fdir2": str(folders[1]), **made},
            "generator and set": {**made, **known},
        }[pair]
        options |= {"mode": mode, "num_workers": 0, "batch_size": 8, "device": CPU}
        found, printed = [], []
        for module in (fid, theirs.fid):
            torch.manual_seed(4)
            np.random.seed(2020)  # noqa: NPY002
            capsys.readouterr()
            found.append(module.compute_kid(**options))
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]
        print(found)
        assert found[0] == pytest.approx(found[1], abs=1e-6)

    def test_draws_are_seeded_and_numpys_own_generator_is_left_alone(self, folders):
        options = {"num_workers": 0, "device": "cpu", "verbose": False}
        np.random.seed(1)  # noqa: NPY002
        expected = np.random.rand()  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        numbers = [fid.compute_kid(*folders, **options, **seed) for seed in ({}, {"seed": 2020}, {"seed": 7})]
        assert numbers[0] == numbers[1] != numbers[2]
        assert np.random.rand() == expected  # noqa: NPY002

    @pytest.mark.parametrize("sizes", [(40, 30, 1000), (40, 30, 20)])
    def test_kernel_distance(self, theirs, sizes):
        rng = np.random.default_rng(1)
        first, second = (rng.gamma(1.0, 0.4, (count, 16)) for count in sizes[:2])
        np.random.seed(11)  # noqa: NPY002
        expected = theirs.fid.kernel_distance(first, second, 10, sizes[2])
        ours = fid.kernel_distance(
            first.astype(np.float32), second.astype(np.float32), num_subsets=10, max_subset_size=sizes[2], seed=11
        )
        assert ours == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("option", [{"num_subsets": 0}, {"max_subset_size": 1}, {"seed": -1}])
    def test_numbers_that_cannot_be_meant(self, option):
        feats = np.ones((4, 2), dtype=np.float32)
        with pytest.raises(UsageError, match=f"{next(iter(option))} is .*, expected a whole number"):
            fid.kernel_distance(feats, feats, **option)

    def test_one_image(self):
        feats = np.ones((4, 2), dtype=np.float32)
        with pytest.raises(StatisticsError, match="statistics need at least 2"):
            fid.kernel_distance(feats, feats[:1])
