"""``calculate_fid_given_paths`` and ``save_fid_stats`` beside pytorch-fid 0.3.0's, of the same files and weights.

Tolerance: at the 64-wide layer, where the images are of full rank, 1e-6 relative to the original's number (reached, on
OpenVINO: 3e-7). At all layers with fewer images than dimensions 1e-6 to the exact number of the original's features
(reached: 2e-7), and at one of them 1e-3 to the original's own number (1e-6).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics
from genmetrics.compat.pytorch_fid import runs, sides
from genmetrics.compat.pytorch_fid.fid_score import calculate_fid_given_paths, save_fid_stats
from genmetrics.errors import BadImageError, GenmetricsWarning, OutputError, SourceError, StatisticsError, UsageError
from genmetrics.stats.formats import save_as
from support.pytorch_fid_peer import exact_frechet, original, original_network, peer_warnings, relative

FULL_RANK, TO_THE_TRUTH, BELOW_FULL_RANK = 1e-6, 1e-6, 1e-3
DIMS = (64, 192, 768, 2048)
SETTINGS = (50, "cpu", 64, 0)

pytestmark = [
    # What is told beside a number is looked at in a test of its own.
    pytest.mark.filterwarnings("ignore:no more images"),
    pytest.mark.filterwarnings("ignore:the weights of 'inception-v3.tf2015' are not the published"),
    pytest.mark.filterwarnings("ignore:.*(does|do) not say"),
]


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[str, str]:
    """Of full rank at the first layer."""
    return str(image_folder(67, 48, 64, seed=11, warmth=1.0)), str(image_folder(66, 40, 56, seed=12))


@pytest.fixture(scope="module")
def few(image_folder: Callable[..., Path]) -> tuple[str, str]:
    """Sets that the whole network sees in a few seconds."""
    return str(image_folder(7, 48, 64, seed=11, warmth=1.0)), str(image_folder(6, 40, 56, seed=12))


@pytest.fixture(scope="module")
def features(few: tuple[str, str]) -> dict[int, list[np.ndarray]]:
    """What the original's network gives of each set, at each layer."""
    network = original_network.InceptionV3([0, 1, 2, 3]).eval()
    found: dict[int, list[np.ndarray]] = {dims: [] for dims in DIMS}
    for folder in few:
        images = original.ImagePathDataset(sorted(Path(folder).iterdir()))
        batch = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]).float() / 255
        with torch.no_grad():
            for dims, maps in zip(DIMS, network(batch), strict=True):
                found[dims].append(torch.nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1).numpy())
    return found


@pytest.fixture(scope="module")
def saved(folders: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The statistics of both folders as each side writes them."""
    home = tmp_path_factory.mktemp("saved")
    found = {}
    for whose, save in (("ours", save_fid_stats), ("theirs", original.save_fid_stats)):
        found[whose] = [str(home / f"{whose}{number}.npz") for number in range(2)]
        for folder, file in zip(folders, found[whose], strict=True):
            save([folder, file], *SETTINGS)
    return found


@pytest.fixture(scope="module")
def theirs(saved: dict[str, list[str]]) -> float:
    """The original's number; that of the folders themselves is in test_command.py."""
    with peer_warnings():
        return float(original.calculate_fid_given_paths(saved["theirs"], *SETTINGS))


class TestNumbers:
    def test_full_rank(self, folders, theirs):
        ours = calculate_fid_given_paths(list(folders), *SETTINGS)
        assert isinstance(ours, np.float64)
        assert relative(ours, theirs) <= FULL_RANK

    def test_the_other_resizer_is_told_apart(self, folders, theirs):
        other = genmetrics.evaluate(*folders, ["fid_64"], device="cpu", batch_size=50)["fid_64"].value
        assert relative(other, theirs) > 100 * FULL_RANK

    @pytest.mark.parametrize("dims", DIMS)
    def test_every_layer(self, few, features, dims):
        ours = calculate_fid_given_paths(few, 4, torch.device("cpu"), dims)
        assert relative(ours, exact_frechet(features[dims])) <= TO_THE_TRUTH

    def test_the_original_within_its_noise(self, few, features):
        """At the 192-wide layer; its root of larger matrices takes long."""
        ours = calculate_fid_given_paths(few, 4, "cpu", 192)
        rows = [side.astype(np.float64) for side in features[192]]
        moments = [(side.mean(axis=0), np.cov(side, rowvar=False)) for side in rows]
        with peer_warnings():
            assert (
                relative(ours, float(original.calculate_frechet_distance(*moments[0], *moments[1]))) <= BELOW_FULL_RANK
            )

    def test_order_batches_and_workers_change_nothing(self, folders, theirs):
        for paths, batch_size, workers in ((folders[::-1], 7, 2), (tuple(map(Path, folders)), 200, 0)):
            assert relative(calculate_fid_given_paths(paths, batch_size, "cpu", 64, workers), theirs) <= FULL_RANK

    @pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), False])
    def test_devices(self, folders, theirs, device):
        """False: the third argument of the functions before 0.2 was whether to use a GPU."""
        assert relative(calculate_fid_given_paths(folders, 50, device, 64), theirs) <= FULL_RANK

    def test_a_folder_and_itself(self, folders):
        assert 0 <= calculate_fid_given_paths([folders[0], folders[0]], *SETTINGS) < 1e-9

    def test_images_of_several_sizes(self, few, tmp_path, features):
        """All images of both sets in one folder, against the second: the original cannot put them into a batch."""
        for number, folder in enumerate(few):
            for file in Path(folder).iterdir():
                (tmp_path / f"{number}-{file.name}").write_bytes(file.read_bytes())
        with pytest.raises(RuntimeError, match="equal size"):
            original.calculate_fid_given_paths([str(tmp_path), few[1]], *SETTINGS)
        expected = exact_frechet([np.concatenate(features[64]), features[64][1]])
        assert relative(calculate_fid_given_paths([tmp_path, few[1]], *SETTINGS), expected) <= TO_THE_TRUTH

    def test_it_is_remembered(self, few, monkeypatch):
        """Known again, no image goes through the network."""
        first = calculate_fid_given_paths(few, 4, "cpu", 192)
        monkeypatch.setattr("genmetrics.extractors.base.load_extractor", lambda *_: pytest.fail("a network was built"))
        monkeypatch.setattr("genmetrics.engine.networks.load_extractor", lambda *_: pytest.fail("a network was built"))
        assert calculate_fid_given_paths(few, 4, "cpu", 192) == first

    def test_what_is_told(self, few):
        with pytest.warns(GenmetricsWarning) as told:
            calculate_fid_given_paths(few, *SETTINGS)
        texts = [str(each.message) for each in told]
        assert any(
            text.startswith("no more images (generated 7, reference 6) than feature dimensions") for text in texts
        )
        assert any("are not the published ones" in text for text in texts)


class TestStatisticsFiles:
    @pytest.mark.parametrize("writer", ["ours", "theirs"])
    def test_either_reads_what_either_writes(self, folders, theirs, saved, writer):
        reference = saved[writer][1]
        assert relative(calculate_fid_given_paths([folders[0], reference], *SETTINGS), theirs) <= FULL_RANK
        paths = [saved["theirs"][0], reference]
        with peer_warnings():
            assert relative(float(original.calculate_fid_given_paths(paths, *SETTINGS)), theirs) <= FULL_RANK

    def test_other_weights_are_told(self, few, tmp_path):
        with pytest.warns(GenmetricsWarning, match=r"the weights of 'inception-v3\.tf2015' are not the published ones"):
            save_fid_stats([few[0], tmp_path / "x.npz"], *SETTINGS)

    def test_what_is_written(self, saved):
        """The same names, types and packing."""
        assert all(each.compress_type == zipfile.ZIP_DEFLATED for each in zipfile.ZipFile(saved["ours"][0]).infolist())
        with np.load(saved["ours"][0]) as ours, np.load(saved["theirs"][0]) as theirs:
            assert ours.files == theirs.files == ["mu", "sigma"]
            for name in ours.files:
                assert (ours[name].dtype, ours[name].shape) == (theirs[name].dtype, theirs[name].shape)
                assert np.linalg.norm(ours[name] - theirs[name]) <= 1e-6 * np.linalg.norm(theirs[name])

    def test_two_files(self, saved, theirs):
        found = calculate_fid_given_paths([Path(saved["ours"][0]), Path(saved["theirs"][1])], *SETTINGS)
        assert relative(found, theirs) <= FULL_RANK

    def test_two_files_of_another_network(self, tmp_path):
        """For which dims plays no part, as in the original."""
        rng = np.random.default_rng(0)
        for name in ("one", "two"):
            rows = rng.standard_normal((40, 5))
            np.savez(tmp_path / f"{name}.npz", mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        paths = [str(tmp_path / "one.npz"), str(tmp_path / "two.npz")]
        with peer_warnings():
            theirs = float(original.calculate_fid_given_paths(paths, 50, "cpu", 2048))
        assert relative(calculate_fid_given_paths(paths, 50, "cpu", 2048), theirs) <= FULL_RANK

    def test_an_npz_is_copied(self, saved, tmp_path):
        save_fid_stats([saved["theirs"][0], tmp_path / "copy.npz"], *SETTINGS)
        with np.load(tmp_path / "copy.npz") as copy, np.load(saved["theirs"][0]) as given:
            assert all(np.array_equal(copy[name], given[name]) for name in ("mu", "sigma"))

    def test_a_file_that_says_that_it_is_something_else(self, few, tmp_path):
        """Of TensorFlow's resize, as ADM's are: the original compares all the same, and so do we, aloud."""
        save_as(genmetrics.compute_stats(few[1], ["fid_64"], device="cpu"), tmp_path / "tf1.npz")
        paths = [few[0], str(tmp_path / "tf1.npz")]
        with pytest.warns(
            GenmetricsWarning, match="forced: reference .*'tf1-bilinear-299' in place of 'torch-bilinear"
        ):
            ours = calculate_fid_given_paths(paths, *SETTINGS)
        with peer_warnings():
            assert relative(ours, float(original.calculate_fid_given_paths(paths, *SETTINGS))) <= BELOW_FULL_RANK
        assert relative(ours, calculate_fid_given_paths(few, *SETTINGS)) > 10 * BELOW_FULL_RANK


class TestWritingStatistics:
    def test_the_line_that_is_printed(self, few, tmp_path, capsys):
        save_fid_stats([few[0], tmp_path / "x.npz"], 4, "cpu", 64)
        assert capsys.readouterr().out == f"Saving statistics for {few[0]}\n"

    def test_a_name_without_ending(self, few, tmp_path, capsys):
        """README's example: the file can be given by that name afterwards, which it cannot in the original."""
        out = tmp_path / "out"
        with pytest.warns(GenmetricsWarning, match=r"the statistics are in '.*out\.npz'"):
            save_fid_stats([few[1], str(out)], *SETTINGS)
        assert [each.name for each in tmp_path.iterdir()] == ["out.npz"]
        with pytest.raises(RuntimeError, match="Invalid path"):
            original.calculate_fid_given_paths([few[0], str(out)], *SETTINGS)
        with pytest.warns(GenmetricsWarning, match=r"out' does not exist and '.*out\.npz' does"):
            found = calculate_fid_given_paths([few[0], str(out)], *SETTINGS)
        assert found == pytest.approx(calculate_fid_given_paths(few, *SETTINGS), rel=1e-9)

    @pytest.mark.parametrize(("there", "given"), [("x.npz", "x.npz"), ("x.npz", "x"), ("x", "x")])
    def test_nothing_is_overwritten(self, few, tmp_path, monkeypatch, there, given):
        """Neither under the name that is given nor under the one that is written; and before an image is read."""
        (tmp_path / there).write_bytes(b"dear")
        monkeypatch.setattr(runs, "compute_stats", lambda *_, **__: pytest.fail("images were read"))
        with pytest.raises(OutputError, match=f"{there}' exists, and statistics are written to new files only"):
            save_fid_stats([few[0], str(tmp_path / given)], *SETTINGS)
        assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(there, b"dear")]

    def test_a_folder_that_is_not_there(self, few, tmp_path):
        with pytest.raises(OutputError, match=r"the folder .* does not exist"):
            save_fid_stats([few[0], tmp_path / "no" / "x.npz"], *SETTINGS)

    def test_one_image(self, few, tmp_path):
        """The original writes a covariance of NaN."""
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "a.png").write_bytes(next(Path(few[0]).iterdir()).read_bytes())
        with pytest.raises(StatisticsError, match="need at least 2"):
            save_fid_stats([tmp_path / "one", tmp_path / "x.npz"], *SETTINGS)
        with pytest.raises(StatisticsError, match=r"the generated set has 1 image\(s\)"):
            calculate_fid_given_paths([tmp_path / "one", few[1]], *SETTINGS)
        assert not (tmp_path / "x.npz").exists()


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Six images of which the original counts one, beside what is no image."""
        for name in ("a.png", "B.PNG", "c.JPeG", "d.gif", "deep/e.png", "deep/er/f.jpg", "empty/g.txt"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            if path.suffix == ".txt":
                path.write_text("no image")
            else:
                Image.fromarray(np.full((8, 8, 3), 9 * len(name), dtype=np.uint8)).save(path)
        (tmp_path / "notes.txt").write_text("no image")
        return tmp_path

    def test_what_is_counted(self, folder):
        source = sides.open_folder(folder)
        assert [Path(name).name for name in source.names()] == ["B.PNG", "a.png", "c.JPeG"]
        assert source.description == str(folder)

    def test_what_is_told(self, folder, few):
        with pytest.warns(GenmetricsWarning) as told:
            calculate_fid_given_paths([folder, few[1]], *SETTINGS)
        texts = "\n".join(str(each.message) for each in told)
        assert (
            f"'{folder}': 2 images whose extension is in capitals (B.PNG, c.JPeG) are counted, which pytorch" in texts
        )
        assert (
            f"'{folder}': images in subfolders (deep) are not counted, as in pytorch-fid; `genmetrics eval GEN --ref "
            "REF -m fid_pytorch` reads them too" in texts
        )
        assert "files of other kinds are not counted, as in pytorch-fid: .gif (1), .txt (1)" in texts

    def test_hidden_files(self, tmp_path):
        """Images count as in the original; what systems leave behind is no news."""
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / ".x.png")
        (tmp_path / ".DS_Store").write_bytes(b"")
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "y.png").write_bytes(b"")
        assert [Path(name).name for name in sides.open_folder(tmp_path).names()] == [".x.png"]
        assert sides.open_folder(tmp_path).notes == ()
        assert [path.name for path in tmp_path.glob("*.png")] == [".x.png"]  # how the original finds files

    def test_every_extension(self, tmp_path):
        for name in sides.IMAGE_EXTENSIONS:
            Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / f"x.{name}")
        assert len(sides.open_folder(tmp_path)) == 9 == len(original.IMAGE_EXTENSIONS)
        assert sides.open_folder(tmp_path).notes == ()

    def test_an_empty_folder(self, tmp_path, few):
        with pytest.raises(ValueError, match="batch_size=0"):
            original.calculate_fid_given_paths([str(tmp_path), few[1]], *SETTINGS)
        with pytest.raises(SourceError, match=f"folder '{tmp_path}' holds no image: looked in it, and not in its subf"):
            calculate_fid_given_paths([tmp_path, few[1]], *SETTINGS)

    def test_images_in_subfolders_alone(self, tmp_path, few):
        (tmp_path / "class").mkdir()
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "class" / "x.png")
        with pytest.raises(SourceError, match=r"images in subfolders \(class\) are not counted.*`genmetrics eval GEN"):
            calculate_fid_given_paths([few[1], tmp_path], *SETTINGS)

    def test_a_file(self, few):
        image = next(Path(few[0]).iterdir())
        with pytest.raises(SourceError, match=f"{image.name}' is a file, expected a folder of images or an .npz"):
            calculate_fid_given_paths([image, few[1]], *SETTINGS)

    def test_no_such_path(self, few):
        with pytest.raises(SourceError, match="does not exist"):
            calculate_fid_given_paths([few[0] + "x", few[1]], *SETTINGS)
        with pytest.raises(SourceError, match="does not exist"):
            save_fid_stats([few[0] + "x", "y.npz"], *SETTINGS)

    def test_images_that_cannot_be_read_are_named(self, few, tmp_path):
        for file in Path(few[0]).iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "cut.png").write_bytes(file.read_bytes()[:150])
        (tmp_path / "no.jpg").write_bytes(b"no image")
        with pytest.raises(BadImageError, match=r"(?s)cut\.png.*no\.jpg"):
            calculate_fid_given_paths([tmp_path, few[1]], *SETTINGS)


class TestRefusals:
    """All of them before the first image."""

    @pytest.fixture(autouse=True)
    def no_image(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "genmetrics.sources.folder.decode_file", lambda *_: pytest.fail("an image was read before the refusal")
        )

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"mean": np.zeros(64), "cov": np.eye(64)}, "it holds 'cov', 'mean'; expected 'mu' and 'sigma'"),
            ({"arr_0": np.zeros((2, 4, 4, 3), np.uint8)}, "it holds 'arr_0', which are images, and no statistics"),
            ({"feats": np.ones((3, 64), np.float32)}, "holds feature bank .*; expected 'mu' and 'sigma'"),
            ({"mu": np.full(64, np.nan), "sigma": np.eye(64)}, "'mu' holds NaN or infinity in 64 of its 64 values"),
            ({"mu": np.zeros(64), "sigma": np.full((64, 64), np.inf)}, "'sigma' holds NaN or infinity"),
            ({"mu": np.zeros(64), "sigma": np.eye(63)}, r"'mu' has 64 values and 'sigma' is of shape \(63, 63\)"),
            (
                {"mu": np.zeros(192), "sigma": np.eye(192)},
                "covariance of 192 features, and 64 are asked for .*--dims 192",
            ),
        ],
    )
    @pytest.mark.parametrize("side", [0, 1])
    def test_statistics(self, few, tmp_path, arrays, message, side):
        path = tmp_path / "x.npz"
        np.savez(path, **arrays)
        paths = [str(path), few[1]] if side == 0 else [few[0], str(path)]
        with pytest.raises(StatisticsError, match=rf"x\.npz'.*{message}"):
            calculate_fid_given_paths(paths, *SETTINGS)

    def test_two_widths(self, tmp_path):
        for width in (3, 4):
            np.savez(tmp_path / f"{width}.npz", mu=np.zeros(width), sigma=np.eye(width))
        with pytest.raises(StatisticsError, match=r"of 3 features and .* of 4 features; expected .* the same --dims"):
            calculate_fid_given_paths([tmp_path / "3.npz", tmp_path / "4.npz"], *SETTINGS)

    def test_a_damaged_npz(self, few, tmp_path):
        (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 and nothing")
        with pytest.raises(StatisticsError, match="damaged"):
            calculate_fid_given_paths([few[0], tmp_path / "x.npz"], *SETTINGS)

    @pytest.mark.parametrize("function", [calculate_fid_given_paths, save_fid_stats])
    @pytest.mark.parametrize("paths", ["ab", ["a"], ["a", "b", "c"]])
    def test_paths(self, function, paths):
        with pytest.raises(UsageError, match="expected two, such as"):
            function(paths, *SETTINGS)

    @pytest.mark.parametrize("function", [calculate_fid_given_paths, save_fid_stats])
    def test_dims(self, function, few):
        with pytest.raises(UsageError, match="dims 100: expected one of 64, 192, 768, 2048"):
            function(few, 50, "cpu", 100)

    @pytest.mark.parametrize(("batch_size", "workers", "message"), [(0, 1, "batch_size 0"), (5, -1, "workers -1")])
    def test_numbers(self, few, batch_size, workers, message):
        with pytest.raises(UsageError, match=f"{message}: expected at least"):
            calculate_fid_given_paths(few, batch_size, "cpu", 64, workers)
