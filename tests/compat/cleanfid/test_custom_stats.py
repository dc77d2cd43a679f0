"""Statistics under a name of one's own: made by one side, read by the other; and the errors that clean-fid makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import genmetrics
from genmetrics.compat.cleanfid import features, fid, statistics
from genmetrics.errors import OutputError, StatisticsError, UsageError
from support.clean_fid import CPU, their_warnings

pytestmark = [
    pytest.mark.filterwarnings("ignore:no more images:genmetrics.errors.GenmetricsWarning"),
    pytest.mark.usefixtures("shared_networks"),
]
KNOWN = {"dataset_name": "MyData", "dataset_split": "custom"}
QUIET = {"device": "cpu", "verbose": False}
FILES = ("mydata_clean_custom_na.npz", "mydata_clean_custom_na_kid.npz")


@pytest.fixture(scope="module")
def few(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(3, 64, 64, seed=31, warmth=1.0), image_folder(4, 64, 64, seed=32)


class TestMade:
    def test_there_and_back(self, few, stats_folder, theirs, capsys):
        """One set, made by us: both read it, the number is that of the folder itself, and it goes again."""
        assert not fid.test_stats_exists("MyData", "clean")
        fid.make_custom_stats("MyData", str(few[1]), **QUIET)
        printed = capsys.readouterr().out
        assert printed == "".join(
            f"saving custom {metric} stats to {stats_folder / name}\n"
            for metric, name in zip(("FID", "KID"), FILES, strict=True)
        )
        assert sorted(path.name for path in stats_folder.iterdir()) == sorted(FILES)
        for metric in ("FID", "KID"):
            assert fid.test_stats_exists("MyData", "clean", metric=metric)
            assert fid.test_stats_exists("mydata", "clean", "inception_v3", metric)
            assert theirs.fid.test_stats_exists("mydata", "clean", metric=metric)
            # clean-fid writes lower case and then looks for what was typed.
            assert not theirs.fid.test_stats_exists("MyData", "clean", metric=metric)

        mu, sigma = theirs.features.get_reference_statistics("MyData", "na", split="custom")
        ours = features.get_reference_statistics("MyData", 1024, split="custom")
        assert np.array_equal(mu, ours[0]) and np.array_equal(sigma, ours[1])
        feats = theirs.features.get_reference_statistics("MyData", "na", split="custom", metric="KID")
        assert feats.dtype == np.float32 and feats.shape == (4, 2048)
        np.testing.assert_array_equal(
            feats, features.get_reference_statistics("mydata", "na", split="custom", metric="KID")
        )
        np.testing.assert_allclose(mu, feats.astype(np.float64).mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(sigma, np.cov(feats.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)

        direct = fid.compute_fid(few[0], few[1], **QUIET)
        assert fid.compute_fid(few[0], **KNOWN, **QUIET) == pytest.approx(direct, rel=1e-6)
        assert fid.compute_kid(few[0], **KNOWN, **QUIET) == pytest.approx(
            fid.compute_kid(few[1], few[0], **QUIET), abs=1e-9
        )
        # The engine knows what the file is of.
        held = genmetrics.Stats.load(stats_folder / FILES[0])
        assert [need.preprocess for need in held.accumulators] == ["pil-bicubic-f32-299"] and held.num_samples == 4

        with pytest.raises(StatisticsError, match=r"there are statistics 'MYDATA' already: .*remove_custom_stats"):
            fid.make_custom_stats("MYDATA", few[0], **QUIET)
        fid.remove_custom_stats("MyData")
        assert list(stats_folder.iterdir()) == []

    def test_some_images_of_one_mode(self, few, stats_folder, theirs):
        fid.make_custom_stats("few", few[1], num=3, mode="legacy_pytorch", num_workers=1, batch_size=2, **QUIET)
        assert (stats_folder / "few_legacy_pytorch_custom_na.npz").is_file()
        feats = theirs.features.get_reference_statistics("few", "na", "legacy_pytorch", split="custom", metric="KID")
        whole = fid.get_folder_features(few[1], mode="legacy_pytorch", **QUIET)
        np.testing.assert_allclose(feats, whole[:3], rtol=1e-5, atol=1e-6)
        assert not fid.test_stats_exists("few", "clean")
        fid.remove_custom_stats("few", mode="legacy_pytorch")

    def test_arrays_of_floats(self, few, stats_folder, tmp_path):
        folder = tmp_path / "arrays"
        folder.mkdir()
        for number in range(2):
            np.save(folder / f"{number}.npy", np.random.default_rng(number).uniform(0, 255, (64, 64, 3)))
        fid.make_custom_stats("floats", folder, **QUIET)
        feats = features.get_reference_statistics("floats", "na", split="custom", metric="KID")
        np.testing.assert_allclose(feats, fid.get_folder_features(folder, **QUIET), rtol=1e-5, atol=1e-6)


class TestTheirs:
    def test_made_by_clean_fid(self, stats_folder, theirs, folders, small_network, monkeypatch):
        monkeypatch.setattr(theirs.fid, "build_feature_extractor", lambda *_, **__: small_network)
        with their_warnings():
            theirs.fid.make_custom_stats("Mine", str(folders[1]), device=CPU, verbose=False)
            expected = theirs.features.get_reference_statistics("Mine", "na", split="custom")
        assert fid.test_stats_exists("Mine", "clean") and fid.test_stats_exists("Mine", "clean", metric="KID")
        for ours, other in zip(fid.get_reference_statistics("Mine", "na", split="custom"), expected, strict=True):
            np.testing.assert_array_equal(ours, other)
        fid.remove_custom_stats("Mine")
        assert not theirs.fid.test_stats_exists("mine", "clean")

    def test_what_its_removal_leaves_behind(self, stats_folder, theirs):
        """It deletes the one file in lower case and fails on the other; ours removes what is left."""
        for name in FILES:
            np.savez(stats_folder / name, x=np.zeros(1))
        with pytest.raises(Exception, match="does not exist"):
            theirs.fid.remove_custom_stats("MyData")
        assert [path.name for path in stats_folder.iterdir()] == [FILES[1]]
        fid.remove_custom_stats("MyData")
        assert list(stats_folder.iterdir()) == []
        with pytest.raises(StatisticsError, match=r"there are no statistics 'MyData': looked for mydata_clean_custom"):
            fid.remove_custom_stats("MyData")

    def test_an_unknown_mode(self, theirs, stats_folder):
        with pytest.raises(UnboundLocalError):
            theirs.features.build_feature_extractor("cleam")
        for call in (
            lambda: features.build_feature_extractor("cleam"),
            lambda: fid.test_stats_exists("a", "cleam"),
            lambda: fid.remove_custom_stats("a", mode="cleam"),
            lambda: fid.make_custom_stats("a", "b", mode="cleam"),
            lambda: features.get_reference_statistics("a", 1, mode="cleam"),
        ):
            with pytest.raises(UsageError, match="mode 'cleam': did you mean 'clean'"):
                call()


class TestErrors:
    def test_nothing_of_that_name(self, stats_folder, few):
        np.savez(stats_folder / "faces_clean_custom_na.npz", mu=np.zeros(2), sigma=np.eye(2))
        np.savez(stats_folder / "x_clean_clip_vit_b_32_custom_na.npz", mu=np.zeros(2), sigma=np.eye(2))
        with pytest.raises(StatisticsError) as caught:
            fid.compute_fid(few[0], dataset_name="face", dataset_split="custom", **QUIET)
        assert "Made so far: faces. Make them: fid.make_custom_stats('face', 'path/to/images', mode='clean')" in str(
            caught.value
        )

    @pytest.mark.parametrize("name", ["", "a/b"])
    def test_names(self, name):
        with pytest.raises(UsageError, match="expected the name of a set, without folders"):
            fid.test_stats_exists(name, "clean")

    def test_metric_and_model(self):
        with pytest.raises(UsageError, match="metric 'IS': known: FID, KID"):
            fid.test_stats_exists("a", "clean", metric="IS")
        with pytest.raises(UsageError, match="model_name 'vgg': known"):
            fid.test_stats_exists("a", "clean", "vgg")

    def test_a_damaged_file(self, stats_folder, few):
        path = stats_folder / "bad_clean_custom_na.npz"
        path.write_bytes(b"PK\3\4 cut short")
        for call in (
            lambda: fid.compute_fid(few[0], dataset_name="bad", dataset_split="custom", **QUIET),
            lambda: features.get_reference_statistics("bad", "na", split="custom"),
        ):
            with pytest.raises(StatisticsError, match=r"bad_clean_custom_na\.npz"):
                call()

    def test_a_file_of_something_else(self, stats_folder):
        np.savez(stats_folder / "odd_clean_custom_na.npz", feats=np.ones((3, 4), np.float32))
        with pytest.raises(StatisticsError, match="holds no mu and sigma"):
            features.get_reference_statistics("odd", "na", split="custom")


class TestWhere:
    """An installed clean-fid's folder, and ours where there is none or it cannot be written."""

    def test_the_package_is_found_without_importing_it(self, tmp_path, monkeypatch):
        import sys

        package = tmp_path / "site" / "cleanfid"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise AssertionError('imported')")
        monkeypatch.syspath_prepend(str(package.parent))
        for name in [name for name in sys.modules if name.partition(".")[0] == "cleanfid"]:
            monkeypatch.delitem(sys.modules, name)
        assert statistics.stats_folders()[0] == package / "stats"

    def test_without_the_package(self, tmp_path, monkeypatch):
        monkeypatch.setattr(statistics, "_package_folder", lambda: None)
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path))
        assert statistics.stats_folders() == (tmp_path / "clean-fid",)
        monkeypatch.setenv("GENMETRICS_CACHE", "off")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert statistics.stats_folders() == (tmp_path / "xdg" / "genmetrics" / "clean-fid",)

    def test_a_package_that_cannot_be_written(self, stats_folder, tmp_path, few):
        """As if it were read-only, which means nothing to a superuser: a file stands in the folder's place."""
        stats_folder.rmdir()
        stats_folder.write_text("")
        fid.make_custom_stats("mine", few[0], **QUIET)
        assert (tmp_path / "ours" / "clean-fid" / "mine_clean_custom_na.npz").is_file()
        assert fid.test_stats_exists("Mine", "clean")

    def test_no_folder_can_be_written(self, stats_folder, tmp_path, few):
        stats_folder.rmdir()
        stats_folder.write_text("")
        (tmp_path / "ours").write_text("")
        with pytest.raises(OutputError, match=r"no folder for statistics can be written.*set GENMETRICS_CACHE"):
            fid.make_custom_stats("mine", few[0], **QUIET)

    def test_a_reader_sees_no_half_file(self, stats_folder, few, monkeypatch):
        """The disk is full at the second of the two files."""
        save, saved = np.savez, []

        def fail(file: object, **arrays: np.ndarray) -> None:
            if saved:
                raise OSError(28, "No space left on device")
            saved.append(file)
            save(file, **arrays)

        monkeypatch.setattr(np, "savez", fail)
        with pytest.raises(OutputError, match="No space left"):
            fid.make_custom_stats("mine", few[0], **QUIET)
        assert list(stats_folder.iterdir()) == []
