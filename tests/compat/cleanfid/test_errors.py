"""What is refused, and what is said then."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.cleanfid import fid
from genmetrics.errors import DeviceError, GenmetricsWarning, StatisticsError, UsageError
from support.clean_fid import Painter


class TestErrors:
    OPTIONS = {"num_workers": 0, "device": "cpu", "verbose": False}  # noqa: RUF012

    def test_sides(self, folders):
        for function in (fid.compute_fid, fid.compute_kid):
            with pytest.raises(UsageError, match="invalid combination of directories and models entered"):
                function(**self.OPTIONS)
            with pytest.raises(UsageError, match="fdir1 and gen were both given"):
                function(folders[0], gen=Painter(), **self.OPTIONS)

    def test_names(self, folders, small_network):
        with pytest.raises(UsageError, match="mode 'clear': did you mean 'clean'"):
            fid.compute_fid(*folders, mode="clear", **self.OPTIONS)
        with pytest.raises(UsageError, match="mode 'clear': did you mean 'clean'"):
            fid.compute_fid(*folders, mode="clear", custom_feat_extractor=small_network, **self.OPTIONS)
        with pytest.raises(UsageError, match="model_name 'clip': did you mean 'clip_vit_b_32'"):
            fid.compute_fid(*folders, model_name="clip", **self.OPTIONS)

    @pytest.mark.parametrize("option", [{"batch_size": 0}, {"num_workers": -1}])
    def test_numbers(self, folders, small_network, option):
        with pytest.raises(UsageError, match=f"{next(iter(option))} is .*, expected a whole number of at least"):
            fid.compute_fid(*folders, custom_feat_extractor=small_network, **{**self.OPTIONS, **option})

    @pytest.mark.parametrize("option", [{"num_gen": 0}, {"z_dim": -1}])
    def test_numbers_of_a_generator(self, folders, small_network, option):
        with pytest.raises(UsageError, match=f"{next(iter(option))} is .*, expected a whole number of at least 1"):
            fid.compute_fid(
                fdir2=folders[0], gen=Painter(), custom_feat_extractor=small_network, **{**self.OPTIONS, **option}
            )

    def test_num(self, folders, small_network):
        with pytest.raises(UsageError, match="num is 0, expected at least 1"):
            fid.get_folder_features(folders[0], small_network, num=0, **self.OPTIONS)

    def test_device(self, folders):
        if torch.cuda.is_available():
            pytest.skip("this machine has a CUDA device; the message is for those without")
        with pytest.raises(DeviceError, match="device 'cuda' was asked for"):
            fid.compute_fid(*folders, device=torch.device("cuda"), num_workers=0)

    @pytest.mark.parametrize(
        ("made", "said"),
        [
            (lambda z: torch.rand(len(z), 3, 8, 8), r"floats from .* which as 0\.\.255 are black images; scale them"),
            (lambda z: torch.rand(len(z), 3, 8, 8) * 2 - 1, "from -1..1 by"),
            (lambda z: torch.full((len(z), 3, 8, 8), torch.nan), "NaN or infinity"),
            (lambda z: torch.rand(len(z) - 1, 3, 8, 8), r"gave shape \(7, 3, 8, 8\) for 8 samples of noise"),
            (lambda z: torch.rand(len(z), 8, 8, 3), r"gave shape \(8, 8, 8, 3\)"),
            (lambda z: torch.zeros(len(z), 3, 8, 8, dtype=torch.int64), "gave torch.int64, expected a tensor"),
            (lambda z: np.zeros((8, 3, 8, 8)), "gave a ndarray, expected a tensor"),
        ],
        ids=["0..1", "-1..1", "NaN", "too few", "channels last", "int64", "array"],
    )
    def test_generators(self, small_network, made, said):
        with pytest.raises(UsageError, match=said):
            fid.get_model_features(made, small_network, z_dim=4, num_gen=8, batch_size=8, device="cpu", verbose=False)

    def test_a_black_generator_may_give_uint8(self, small_network):
        found = fid.get_model_features(
            lambda z: torch.zeros(len(z), 1, 8, 8, dtype=torch.uint8),
            small_network,
            z_dim=4,
            num_gen=8,
            batch_size=8,
            device="cpu",
            verbose=False,
        )
        assert found.shape == (8, 16)

    def test_a_network_of_yours_against_statistics_of_a_model(self, folders, custom_set, small_network):
        with pytest.warns(GenmetricsWarning, match="means something only if that is the same network"):
            fid.compute_fid(
                folders[0],
                dataset_name=custom_set,
                dataset_split="custom",
                custom_feat_extractor=small_network,
                **self.OPTIONS,
            )

    def test_features_of_unlike_widths(self, folders, custom_set):
        """The statistics are of 16 features; ours has 2,048."""
        with pytest.raises(StatisticsError, match="are 16 wide and the network's features 2048"):
            fid.compute_fid(folders[0], dataset_name=custom_set, dataset_split="custom", **self.OPTIONS)
        with pytest.raises(StatisticsError, match="of one side are 2 wide and those of the other 3"):
            fid.fid_from_feats(np.eye(4)[:, :2], np.eye(4)[:, :3])

    def test_covariances_that_are_none(self):
        mu, sigma = np.zeros(3), np.eye(3)
        assert fid.frechet_distance(mu, sigma, mu + 1, sigma) == pytest.approx(3, rel=1e-12)
        assert fid.frechet_distance(0.0, 1.0, 2.0, 4.0, eps=1e-3) == pytest.approx(5, rel=1e-12)
        with pytest.raises(StatisticsError, match="'mu2' has 2 values and 'sigma2' is of shape"):
            fid.frechet_distance(mu, sigma, mu[:2], sigma)
        with pytest.raises(StatisticsError, match="'sigma1' is not positive semidefinite"):
            fid.frechet_distance(mu, -sigma, mu, sigma)
        with pytest.raises(StatisticsError, match="'mu1' holds NaN or infinity"):
            fid.frechet_distance(mu * np.nan, sigma, mu, sigma)
