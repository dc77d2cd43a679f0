"""The functions below ``compute_fid``, against clean-fid 0.1.35 on a small network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.cleanfid import fid
from genmetrics.errors import GenmetricsWarning, SourceError
from support.clean_fid import CPU, Painter, their_warnings, zipped

RELATIVE = 2e-6


class TestFeatureSets:
    """The functions below ``compute_fid``."""

    OPTIONS = {"num_workers": 0, "batch_size": 8, "device": CPU, "verbose": False}  # noqa: RUF012

    def same(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        "choice", [{}, {"num": 7}, {"num": 7, "shuffle": True}, {"num": 9, "shuffle": True, "seed": 5}, {"num": 99}]
    )
    def test_some_of_a_folder(self, theirs, folders, small_network, choice):
        calls = (str(folders[0]), small_network)
        ours = fid.get_folder_features(*calls, **choice, **self.OPTIONS)
        self.same(ours, theirs.fid.get_folder_features(*calls, **choice, **self.OPTIONS))

    def test_another_seed_draws_others(self, folders, small_network):
        draws = [
            fid.get_folder_features(folders[0], small_network, num=7, shuffle=True, seed=seed, **self.OPTIONS)
            for seed in (0, 1)
        ]
        assert not np.array_equal(*draws)

    def test_pythons_own_generator_is_left_alone(self, folders, small_network, monkeypatch):
        for name in ("seed", "shuffle"):
            monkeypatch.setattr(f"random.{name}", lambda *_: pytest.fail("of the process's own generator"))
        fid.get_folder_features(folders[0], small_network, num=7, shuffle=True, **self.OPTIONS)

    def test_files(self, theirs, folders, small_network):
        files = sorted(map(str, folders[0].iterdir()), reverse=True)[:5]
        calls = (files, small_network)
        ours = fid.get_files_features(*calls, description="some", **self.OPTIONS)
        self.same(ours, theirs.fid.get_files_features(*calls, description="some", **self.OPTIONS))
        with pytest.warns(GenmetricsWarning, match="1 path of the list occur in it before and are counted again"):
            assert len(fid.get_files_features([*files, files[0]], small_network, **self.OPTIONS)) == 6

    def test_members_of_an_archive(self, theirs, folders, small_network, tmp_path):
        path = zipped(folders[0], tmp_path / "images.zip")
        names = ["a/00003.png", "a/00001.png"]
        ours = fid.get_files_features(names, small_network, fdir=str(path), **self.OPTIONS)
        with their_warnings():
            self.same(ours, theirs.fid.get_files_features(names, small_network, fdir=str(path), **self.OPTIONS))
        with pytest.raises(SourceError, match=r"1 file of the list are no images in .*: nowhere\.png"):
            fid.get_files_features(["nowhere.png"], small_network, fdir=path, **self.OPTIONS)

    def test_batch(self, theirs, small_network):
        batch = torch.rand(3, 3, 40, 40) * 255
        ours = fid.get_batch_features(batch, small_network, CPU)
        np.testing.assert_array_equal(ours, theirs.fid.get_batch_features(batch, small_network, CPU))

    def test_generated(self, theirs, small_network):
        options = {"z_dim": 8, "num_gen": 13, "batch_size": 5, "device": CPU, "verbose": False, "return_z": True}
        found = []
        for module in (fid, theirs.fid):
            torch.manual_seed(7)
            found.append(module.get_model_features(Painter(), small_network, **options))
        self.same(found[0][0], found[1][0])
        assert found[0][0].shape == (13, 16)
        # clean-fid gives the noise of the whole last batch.
        assert torch.equal(found[0][1], found[1][1][:13])
        options["return_z"] = False
        assert isinstance(fid.get_model_features(Painter(), small_network, desc="images: ", **options), np.ndarray)

    def test_fid_from_feats(self, theirs):
        rng = np.random.default_rng(0)
        gen, ref = (rng.gamma(1.0, 0.4, (count, 16)).astype(np.float32) for count in (200, 150))
        with their_warnings():
            expected = theirs.fid.fid_from_feats(gen, ref)
        assert fid.fid_from_feats(gen, ref) == pytest.approx(expected, rel=RELATIVE)

    def test_the_other_entry_points(self, theirs, folders, custom_set, small_network):
        options = {"num_workers": 0, "batch_size": 8, "device": "cpu", "verbose": False}
        found = fid.compute_fid(*folders, custom_feat_extractor=small_network, **options)
        assert fid.compare_folders(*folders, small_network, "clean", **options) == found
        known = (custom_set, "na", "custom")
        with their_warnings():
            expected = theirs.fid.fid_folder(
                str(folders[0]), *known, small_network, num_workers=0, device=CPU, verbose=False
            )
            ours = fid.fid_folder(str(folders[0]), *known, small_network, **options)
            assert ours == pytest.approx(expected, rel=RELATIVE)
            numbers = []
            for module in (fid, theirs.fid):
                torch.manual_seed(2)
                numbers.append(
                    module.fid_model(
                        Painter(), *known, small_network, z_dim=8, num_gen=20, batch_size=8, device=CPU, verbose=False
                    )
                )
        assert numbers[0] == pytest.approx(numbers[1], rel=RELATIVE)
