"""What a folder or an archive may hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from genmetrics.compat.cleanfid import fid
from genmetrics.errors import BadImageError, GenmetricsWarning, SourceError
from support.clean_fid import CPU, MODES, zipped


class TestWhatAFolderHolds:
    OPTIONS = {"num_workers": 0, "device": "cpu", "verbose": False}  # noqa: RUF012

    def features(self, path: object, network, **options) -> np.ndarray:
        return fid.get_folder_features(path, network, **self.OPTIONS, **options)

    def test_an_archive_is_its_folder(self, folders, small_network, tmp_path):
        """The order is that of the names, in clean-fid that of a hash table."""
        expected = self.features(folders[0], small_network)
        np.testing.assert_array_equal(self.features(zipped(folders[0], tmp_path / "a.zip"), small_network), expected)
        # Its name need not end so, and the path of a folder may.
        np.testing.assert_array_equal(self.features(zipped(folders[0], tmp_path / "b"), small_network), expected)
        odd = tmp_path / "c.zip.npy" / "d"
        odd.parent.mkdir()
        odd.symlink_to(folders[0])
        np.testing.assert_array_equal(self.features(odd, small_network), expected)
        np.testing.assert_array_equal(self.features(odd, small_network, num=3), expected[:3])

    def test_a_macs_archive(self, folders, small_network, tmp_path):
        path = zipped(folders[0], tmp_path / "a.zip", mac=True)
        with pytest.warns(GenmetricsWarning, match=r"passed over 1 file that is no image: \.txt \(1\)"):
            found = self.features(path, small_network)
        assert len(found) == 24

    def test_arrays(self, theirs, folders, small_network, tmp_path):
        """uint8 and floats, beside images; clean-fid takes them in the modes that resize."""
        for number, file in enumerate(sorted(folders[0].iterdir())[:4]):
            pixels = np.asarray(Image.open(file))
            np.save(tmp_path / f"{number}.npy", pixels if number % 2 else pixels.astype(np.float32) + 0.25)
        Image.fromarray(pixels).save(tmp_path / "b.png")
        ours = self.features(tmp_path, small_network)
        expected = theirs.fid.get_folder_features(
            str(tmp_path), small_network, num_workers=0, device=CPU, verbose=False
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
        assert len(ours) == 5
        # float64, at which clean-fid fails in this mode.
        np.save(tmp_path / "0.npy", pixels.astype(np.float64))
        assert self.features(tmp_path, small_network, mode="legacy_tensorflow").shape == (5, 16)

    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.zeros((2, 4, 4, 3), np.uint8), r"an array of shape \(2, 4, 4, 3\), expected one image"),
            (np.zeros((4, 4, 3), np.int64), "an array of int64, expected uint8 or floats"),
            (np.full((4, 4, 3), np.nan), "an array with NaN or infinity"),
        ],
    )
    def test_arrays_that_are_no_images(self, folders, small_network, tmp_path, array, said):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(BadImageError, match=rf"x\.npy: {said}"):
            self.features(tmp_path, small_network)

    def test_extensions_in_any_case_and_subfolders(self, folders, small_network, tmp_path):
        """clean-fid passes over ``.Png`` and ``.gif`` in silence."""
        image = Image.open(next(iter(folders[0].iterdir())))
        (tmp_path / "deep" / "er").mkdir(parents=True)
        for name in ("a.Png", "deep/b.GIF", "deep/er/c.tiff"):
            image.save(tmp_path / name)
        assert len(self.features(tmp_path, small_network)) == 3

    def test_sizes_may_differ_in_every_mode(self, folders, small_network, tmp_path):
        for number, size in enumerate([(64, 64), (64, 64), (50, 40), (64, 64)]):
            Image.open(next(iter(folders[0].iterdir()))).resize(size).save(tmp_path / f"{number}.png")
        for mode in MODES:
            assert self.features(tmp_path, small_network, mode=mode).shape == (4, 16)

    def test_damaged_images_are_named(self, folders, small_network, tmp_path):
        (tmp_path / "a.png").write_bytes(b"nonsense")
        with pytest.raises(BadImageError, match=r"a\.png: not an image"):
            self.features(tmp_path, small_network)

    def test_empty_and_missing(self, small_network, tmp_path):
        with pytest.raises(SourceError, match=r"holds no image: looked in it.*\.npy"):
            self.features(tmp_path, small_network)
        with pytest.raises(SourceError, match="does not exist"):
            self.features(tmp_path / "nowhere", small_network)
        np.save(tmp_path / "all.npy", np.zeros((3, 8, 8, 3), np.uint8))
        with pytest.raises(SourceError, match="expected a folder of images or a zip archive; genmetrics itself"):
            self.features(tmp_path / "all.npy", small_network)
