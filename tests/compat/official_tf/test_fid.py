"""``fid_official_tf`` against TensorFlow's own operators (goldens), and every option and function."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.fid_official_tf import (
    InvalidFIDException,
    calculate_activation_statistics,
    calculate_activation_statistics_from_files,
    calculate_fid_given_paths,
    check_or_download_inception,
    create_inception_graph,
    get_activations,
    get_activations_from_files,
    load_image_batch,
    main,
)
from genmetrics.compat.official_tf.fid import device_of
from genmetrics.compat.official_tf.graph import InceptionGraph
from genmetrics.errors import BadImageError, GenmetricsWarning, UsageError, WeightsError
from support.official_scores import exact_distance

#: Absolute, of TensorFlow's features, which are about 1; see tests/conformance/test_tensorflow_goldens.py.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def graph(graph_folder) -> InceptionGraph:
    return create_inception_graph(check_or_download_inception(graph_folder))


@pytest.fixture(scope="module")
def folders(golden_images, tmp_path_factory) -> list[Path]:
    """The goldens' images, two in each folder, of two sizes."""
    made = []
    for number in range(2):
        folder = tmp_path_factory.mktemp("golden")
        for place in (2 * number, 2 * number + 1):
            Image.fromarray(golden_images[place]).save(folder / f"{place}.png")
        made.append(folder)
    return made


@pytest.fixture(scope="module")
def exact(golden) -> float:
    """The distance of the two folders, on TensorFlow's features."""
    return exact_distance(golden["2048"][:2], golden["2048"][2:])


def printed(capsys, *arguments: object) -> tuple[str, str]:
    main([str(argument) for argument in arguments])
    return capsys.readouterr()


def refused(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as exited:
        main([str(argument) for argument in arguments])
    assert exited.value.code == 2
    out, err = capsys.readouterr()
    assert "FID" not in out
    return err


class TestTensorFlow:
    """From uint8 images to the distance, with the weights of a graph."""

    def test_features(self, graph, golden, golden_images):
        errors = []
        for place, image in enumerate(golden_images):
            found = get_activations(image[None].astype(np.float32), graph, batch_size=1)
            assert found.dtype == np.float64 and found.shape == (1, 2048)
            errors.append(float(np.abs(found - golden["2048"][place]).max()))
        print(errors)
        assert max(errors) <= TOLERANCE

    def test_command(self, capsys, folders, graph_folder, exact):
        """Two folders; printed as the script prints it."""
        out, err = printed(capsys, folders[0], folders[1], "-i", graph_folder)
        value = distance(out, batch_warnings=2)
        print(value / exact - 1)
        assert value == pytest.approx(exact, rel=1e-4)
        assert "no more images" in err

    def test_the_wrong_resize_is_told_apart(self, folders, graph, exact):
        """Negative control: on torch's sampling grid the distance is another."""
        import genmetrics as gm

        weights = {"inception-v3.tf2015": graph.weights}
        wrong = gm.evaluate(folders[0], folders[1], ["fid_pytorch"], weights=weights)["fid_pytorch"].value
        assert abs(wrong / exact - 1) > 1e-3


def distance(out: str, batch_warnings: int = 0) -> float:
    """The number in what the command printed, which is a line, and one for each folder of fewer images than a batch."""
    warning = "warning: batch size is bigger than the data size. setting batch size to data size"
    *before, line = out.splitlines()
    assert before == [warning] * batch_warnings
    match = re.fullmatch(r"FID:  ([0-9.e+-]+)", line)
    assert match, line
    return float(match[1])


class TestSides:
    @pytest.fixture(scope="class")
    @staticmethod
    def saved(golden, tmp_path_factory) -> Path:
        """Statistics as the script writes them, of TensorFlow's features of the second folder."""
        path = tmp_path_factory.mktemp("stats") / "fid_stats.npz"
        rows = golden["2048"][2:].astype(np.float64)
        np.savez_compressed(path, mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        return path

    def test_statistics_and_a_folder(self, capsys, folders, saved, graph_folder, exact):
        out, err = printed(capsys, saved, folders[0], "--inception", graph_folder, "--lowprofile")
        assert distance(out, batch_warnings=1) == pytest.approx(exact, rel=1e-4)
        assert "does not say which network" in err

    def test_two_of_statistics(self, capsys, saved, tmp_path, monkeypatch, golden, exact):
        """No network is needed, and none is looked for."""
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        rows = golden["2048"][:2].astype(np.float64)
        np.savez(tmp_path / "other.npz", mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        out, _ = printed(capsys, saved, tmp_path / "other.npz")
        assert distance(out) == pytest.approx(exact, rel=1e-6)

    @pytest.mark.parametrize("low_profile", [False, True])
    def test_function(self, capsys, folders, graph_folder, exact, low_profile):
        value = calculate_fid_given_paths(
            [str(folder) for folder in folders], str(graph_folder), low_profile=low_profile
        )
        assert value == pytest.approx(exact, rel=1e-4) and value.dtype == np.float64

    def test_three(self, graph_folder, folders):
        with pytest.raises(UsageError, match="3 paths were given; expected two"):
            calculate_fid_given_paths([*folders, folders[0]], graph_folder)

    @pytest.mark.parametrize("name", ["missing", "empty", "image.png"])
    def test_nothing_there(self, capsys, folders, graph_folder, tmp_path, name):
        (tmp_path / "empty").mkdir()
        (tmp_path / "image.png").write_bytes(b"")
        err = refused(capsys, folders[0], tmp_path / name, "-i", graph_folder)
        assert err.splitlines()[-1].startswith("fid_official_tf: error: ") and name in err

    def test_a_broken_image(self, capsys, folders, graph_folder, tmp_path):
        for place in range(2):
            Image.new("RGB", (8, 8), (place, 0, 0)).save(tmp_path / f"{place}.png")
        (tmp_path / "broken.png").write_bytes(b"no image")
        assert "broken.png" in refused(capsys, folders[0], tmp_path, "-i", graph_folder)

    def test_statistics_that_are_none(self, capsys, folders, graph_folder, tmp_path):
        np.savez(tmp_path / "other.npz", a=np.zeros(3))
        assert "expected 'mu' and 'sigma'" in refused(capsys, folders[0], tmp_path / "other.npz", "-i", graph_folder)


class TestAllAreCounted:
    """The script drops a last batch that is not full, misses ``.bmp`` for a typing error, and breaks on grey images."""

    @pytest.fixture(scope="class")
    @staticmethod
    def rows() -> np.ndarray:
        """53 images of 8 pixels a side."""
        return np.random.RandomState(1).randint(0, 256, (53, 8, 8, 3)).astype(np.uint8)

    def test_of_a_folder(self, rows, tmp_path, capsys):
        """What is said of it; nothing is computed."""
        from genmetrics.compat.official_tf.folder import files_to_count

        for place, image in enumerate(rows):
            Image.fromarray(image).save(tmp_path / f"{place:02}{'.bmp' if place == 7 else '.png'}")
        with pytest.warns(GenmetricsWarning) as told:
            files = files_to_count(tmp_path, "fid_official_tf.py", 50)
        assert len(files) == 53
        assert [str(warning.message) for warning in told] == [
            f"'{tmp_path}': counted, though fid_official_tf.py misses them, are 1 image: 07.bmp",
            f"'{tmp_path}': all 53 images are counted; fid_official_tf.py leaves out the last 3, which do not fill a "
            "batch of 50",
        ]

    def test_of_arrays_and_files(self, rows, graph, tmp_path, capsys):
        """Any sizes and kinds of files; features as of the arrays, in their order, and their mean and covariance."""
        some = rows[:3]
        files = [tmp_path / f"{9 - place}.png" for place in range(3)]
        for file, image in zip(files, some, strict=True):
            Image.fromarray(image).save(file)
        with pytest.warns(GenmetricsWarning, match=r"get_activations: all 3 images .* leaves out the last 1, .* of 2"):
            ours = get_activations(some, graph, batch_size=2, verbose=True)
        assert capsys.readouterr().out.endswith("\rPropagating batch 2/2 done\n")
        with pytest.warns(GenmetricsWarning, match="3 files: all 3 images are counted"):
            of_files = get_activations_from_files(files, graph, batch_size=2)
        assert of_files.dtype == np.float64
        np.testing.assert_allclose(of_files, ours, rtol=1e-5, atol=1e-5)
        mu, sigma = calculate_activation_statistics(some.astype(np.float64), graph, batch_size=3)
        np.testing.assert_allclose(mu, ours.mean(axis=0), rtol=1e-5, atol=1e-6)
        assert np.linalg.norm(sigma - np.cov(ours, rowvar=False)) < 1e-5 * np.linalg.norm(sigma)
        for found, expected in zip(
            calculate_activation_statistics_from_files(files, graph, batch_size=3), (mu, sigma), strict=True
        ):
            assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
        assert capsys.readouterr().out == ""

    def test_values_between_whole_numbers(self, graph, golden_images):
        """Arrays are not rounded to 8 bits."""
        image = golden_images[0].astype(np.float32)[None]
        whole = get_activations(image, graph, batch_size=1)
        between = get_activations(np.clip(image + 0.4, 0, 255), graph, batch_size=1)
        assert np.abs(between - whole).max() > 10 * TOLERANCE


class TestFunctions:
    def test_load_image_batch(self, folders, golden_images, tmp_path):
        (file,) = folders[0].glob("0.png")
        found = load_image_batch([file, str(file)])
        assert found.dtype == np.float32 and np.array_equal(found, [golden_images[0]] * 2)
        with pytest.raises(UsageError, match=r"images of sizes \(64, 64\) and \(131, 97\) in one batch"):
            load_image_batch(sorted(folders[0].iterdir()))
        Image.new("L", (4, 6), 7).save(tmp_path / "grey.png")
        assert load_image_batch([tmp_path / "grey.png"]).shape == (1, 6, 4, 3)
        (tmp_path / "broken.png").write_bytes(b"")
        with pytest.raises(BadImageError, match=r"broken\.png"):
            load_image_batch([tmp_path / "broken.png"])

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((2, 8, 8)), r"float64 of shape \(2, 8, 8\); expected an array \(n, h, w, 3\)"),
            (np.zeros((0, 8, 8, 3)), r"of shape \(0, 8, 8, 3\)"),
            (np.full((1, 8, 8, 3), 0.7), r"no value of the images is above 1; expected 0\.\.255"),
            (np.full((1, 8, 8, 3), -3.0), r"image 0 has values in -3\.\.-3; expected 0\.\.255"),
            (np.full((1, 8, 8, 3), np.nan), r"image 0 has values in nan\.\.nan"),
        ],
    )
    def test_images_that_are_none(self, graph, images, message):
        with pytest.raises(UsageError, match=message):
            get_activations(images, graph, batch_size=1)

    def test_batch_sizes(self, graph, capsys):
        with pytest.raises(UsageError, match="batch_size=0: expected at least 1"):
            get_activations(np.full((1, 8, 8, 3), 9), graph, batch_size=0)

    def test_a_session_of_tensorflow(self):
        class Session:
            pass

        with pytest.raises(
            UsageError, match=r"sess is a Session, and no TensorFlow runs here: .*create_inception_graph"
        ):
            get_activations(np.full((1, 8, 8, 3), 9), Session(), batch_size=1)

    def test_names(self):
        """All of the script's are there, and an import neither loads nor fetches anything."""
        assert issubclass(InvalidFIDException, Exception)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import socket; socket.socket.connect = None; import genmetrics.compat.fid_official_tf, "
                "genmetrics.compat.inception_score_official_tf, genmetrics.compat.precalc_stats_official_tf",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestWeights:
    def test_published(self, published, capsys):
        """Without a path those that are published, as they are found."""
        assert check_or_download_inception(None) == str(published)
        assert InceptionGraph().weights == published
        assert capsys.readouterr().out == ""

    def test_neither_found_nor_to_be_had(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        with pytest.raises(WeightsError, match="has no weights here"):
            check_or_download_inception(None)
        assert capsys.readouterr().out == "Downloading Inception model\n"

    def test_a_folder_without_it(self, capsys, folders, tmp_path):
        """The script downloads the graph there; nothing is put in its place silently."""
        err = refused(capsys, *folders, "-i", tmp_path)
        assert f"there is no '{tmp_path}/classify_image_graph_def.pb'; unpack inception-2015-12-05.tgz there" in err

    def test_the_file_itself_and_weights(self, graph_folder, inception_weights, tmp_path):
        file = graph_folder / "classify_image_graph_def.pb"
        assert check_or_download_inception(file) == check_or_download_inception(str(graph_folder)) == str(file)
        assert create_inception_graph(inception_weights).weights == inception_weights
        (tmp_path / "classify_image_graph_def.pb").write_bytes(b"no graph")
        with pytest.raises(WeightsError, match="is not a whole serialised TensorFlow GraphDef"):
            create_inception_graph(tmp_path)

    def test_what_a_graph_becomes_goes_with_it(self, graph_folder):
        graph = InceptionGraph(graph_folder)
        made = graph.weights
        assert made.is_file()
        del graph
        assert not made.parent.exists()


class TestGpu:
    def test_which(self, monkeypatch, capsys):
        """As CUDA_VISIBLE_DEVICES reads it."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert [device_of(text) for text in ("", "0", "2", "1,0", "-1")] == ["cpu", "cuda:0", "cuda:2", "cuda:1", "cpu"]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert device_of("0") == "cpu"
        assert "--gpu 0, and torch finds no CUDA device here; the network runs on the CPU" in capsys.readouterr().err
        with pytest.raises(UsageError, match="--gpu 'first': expected the number of a GPU"):
            device_of("first")

    @pytest.mark.gpu
    def test_runs_there(self, capsys, folders, graph_folder, exact):
        out, _ = printed(capsys, *folders, "-i", graph_folder, "--gpu", "0")
        assert distance(out, batch_warnings=2) == pytest.approx(exact, rel=1e-3)


def test_as_a_module(folders, tmp_path):
    """``python -m``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "genmetrics.compat.fid_official_tf", *folders],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GENMETRICS_WEIGHTS": str(tmp_path), "TORCH_HOME": str(tmp_path)},
    )
    assert done.returncode == 2 and done.stdout == "Downloading Inception model\n"
    assert done.stderr.startswith("fid_official_tf: error: extractor 'inception-v3.tf2015' has no weights here")
