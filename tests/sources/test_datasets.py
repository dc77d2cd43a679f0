from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.sources import cifar, hub_sets, imagenet, stl10
from genmetrics.sources.arrays import ArraySource
from genmetrics.sources.cifar import CIFAR10, CIFAR100, CifarSource
from genmetrics.sources.datasets import DATASETS, DatasetInfo, register_dataset
from genmetrics.sources.imagenet import ImageNetSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.stl10 import Stl10Source
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png
from support.peers import import_peer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of datasets, and no other to be found."""
    monkeypatch.setenv("GENMETRICS_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def python2_pickle(content: dict[str, object]) -> bytes:
    """As Python 2 with numpy 1 wrote the official files: byte strings, and an array made by ``_reconstruct``."""

    def write(value: object) -> bytes:
        if isinstance(value, bytes):
            return b"T" + struct.pack("<i", len(value)) + value
        if isinstance(value, str):
            return write(value.encode("latin1"))
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"](" + b"".join(map(write, value)) + b"e"
        if value is None:
            return b"N"
        assert isinstance(value, np.ndarray) and value.dtype == np.uint8
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + write("b") + b"tR"
        dtype = b"cnumpy\ndtype\n(" + write("u1") + b"K\x00K\x01tR(K\x03" + write("|") + b"NNN" + write(-1) + write(-1)
        dtype += b"K\x00tb"
        shape = b"(" + b"".join(map(write, value.shape)) + b"t"
        return made + b"(K\x01" + shape + dtype + b"\x89" + write(value.tobytes()) + b"tb"

    return b"\x80\x02}(" + b"".join(write(key) + write(value) for key, value in content.items()) + b"u."


def planes(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(seed: int, count: int, key: str = "labels") -> dict[str, object]:
    labels = np.random.default_rng(seed).integers(0, 10, count).tolist()
    return {"data": planes(seed, count), key: labels, "batch_label": "training batch", "filenames": ["a.png"] * count}


def write_cifar(folder: Path, count: int = 4) -> Path:
    root = folder / "cifar-10-batches-py"
    root.mkdir(parents=True)
    for number in range(1, 6):
        (root / f"data_batch_{number}").write_bytes(python2_pickle(batch(number, count)))
    (root / "test_batch").write_bytes(python2_pickle(batch(6, count)))
    (root / "batches.meta").write_bytes(python2_pickle({"label_names": ["airplane", "automobile"], "num_vis": 3072}))
    return root


def small(files: cifar.CifarFiles, rows: int) -> cifar.CifarFiles:
    return dataclasses.replace(files, rows={split: rows * len(names) for split, names in files.splits.items()})


class Response(io.BytesIO):
    """What a server answers."""

    headers: ClassVar[dict[str, str]] = {}


class TestCifar:
    def test_the_images_in_their_order(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        source = CifarSource(write_cifar(tmp_path), CIFAR10, "train", 20)
        images: dict[int, np.ndarray] = {}
        labels: dict[int, int] = {}
        for shard in range(3):
            got = collect(source, Shard(shard, 3), workers=shard)
            images |= got.images
            labels |= got.labels
        expected = np.concatenate([planes(number, 4) for number in range(1, 6)]).reshape(20, 3, 32, 32)

        assert len(source) == 20
        assert (source.kind, source.description) == ("cifar10", "cifar10:train")
        assert source.class_names == ("airplane", "automobile")
        np.testing.assert_array_equal(np.stack([images[i] for i in range(20)]), expected.transpose(0, 2, 3, 1))
        assert [labels[i] for i in range(20)] == [label for n in range(1, 6) for label in batch(n, 4)["labels"]]

    def test_python_3_pickles_and_cifar100(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        for protocol in range(2, 5):
            (tmp_path / "test").write_bytes(pickle.dumps(batch(7, 5, "fine_labels"), protocol=protocol))
            got = collect(CifarSource(tmp_path, CIFAR100, "test", 5))
            np.testing.assert_array_equal(got.images[4], planes(7, 5)[4].reshape(3, 32, 32).transpose(1, 2, 0))
            assert got.labels[4] == batch(7, 5)["labels"][4]  # type: ignore[index]

    def test_as_torchvision_reads_it(self, folder: Path, collect: Callable[..., Collected]) -> None:
        import_peer("torch_fidelity.datasets")
        from torchvision.datasets import CIFAR10 as Theirs

        class Unchecked(Theirs):  # type: ignore[misc, valid-type]
            train_list, test_list = (
                [[name, None] for name, _ in files] for files in (Theirs.train_list, Theirs.test_list)
            )
            meta = {**Theirs.meta, "md5": None}  # noqa: RUF012

        write_cifar(folder)
        theirs = Unchecked(folder, train=True)
        got = collect(CifarSource(folder / "cifar-10-batches-py", CIFAR10, "train", 20))

        for index in range(20):
            image, label = theirs[index]
            np.testing.assert_array_equal(got.images[index], np.asarray(image))
            assert got.labels[index] == label

    def test_by_name(self, folder: Path, monkeypatch: pytest.MonkeyPatch, collect: Callable[..., Collected]) -> None:
        """The real number of images, in the layout of the official archive."""
        root = folder / "cifar-10-batches-py"
        root.mkdir()
        (root / "test_batch").write_bytes(python2_pickle(batch(6, 10_000)))
        source = open_source("cifar10:test")

        assert len(source) == 10_000
        got = collect(source, selection=(9_999,))
        np.testing.assert_array_equal(got.images[0], planes(6, 10_000)[9_999].reshape(3, 32, 32).transpose(1, 2, 0))
        with pytest.raises(SourceError) as caught:
            open_source("cifar10:train")
        assert str(caught.value) == (
            f"'{root}' is not the whole of dataset 'cifar10': data_batch_1, data_batch_2, data_batch_3, data_batch_4, "
            "data_batch_5 missing; delete the folder to have it fetched again, or complete it"
        )

    def test_a_wrong_number(self, folder: Path) -> None:
        root = write_cifar(folder)
        with pytest.raises(SourceError) as caught:
            open_source("cifar10:train")
        assert str(caught.value) == (
            f"'{root}' has 20 images in the files of 'cifar10:train', expected 50,000; it is not the published "
            "dataset: delete the folder to have it fetched again"
        )

    def test_fingerprints(self, tmp_path: Path) -> None:
        root = write_cifar(tmp_path)
        first = CifarSource(root, CIFAR10, "train", 20)
        copy = CifarSource(write_cifar(tmp_path / "copy"), CIFAR10, "train", 20)
        before = first.fingerprint()
        os.utime(root / "data_batch_2", ns=(1, 1))
        touched = CifarSource(root, CIFAR10, "train", 20)

        assert touched.fingerprint().digest != before.digest
        assert first.fingerprint() == before  # its images are in memory
        assert copy.identity() == first.identity() == touched.identity()
        assert CifarSource(root, CIFAR10, "test", 4).identity() != first.identity()

    @pytest.mark.parametrize("name", ["data_batch_2", "batches.meta"])
    def test_a_file_overwritten_with_its_size_and_time_kept(self, name: str, tmp_path: Path) -> None:
        root = write_cifar(tmp_path)
        before, state = CifarSource(root, CIFAR10, "train", 20).fingerprint(), (root / name).stat()
        (root / name).write_bytes((root / name).read_bytes())
        os.utime(root / name, ns=(state.st_atime_ns, state.st_mtime_ns))

        assert CifarSource(root, CIFAR10, "train", 20).fingerprint().digest != before.digest

    def test_a_file_that_changes_while_it_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The set is known by the state before, which no file has any more."""
        root = write_cifar(tmp_path)
        read = Path.read_bytes

        def meddle(path: Path) -> bytes:
            content = read(path)
            os.utime(path)
            return content

        monkeypatch.setattr(Path, "read_bytes", meddle)
        source = CifarSource(root, CIFAR10, "train", 20)
        monkeypatch.undo()

        assert source.fingerprint().digest != CifarSource(root, CIFAR10, "train", 20).fingerprint().digest

    def test_the_identity_is_of_the_images(self, tmp_path: Path) -> None:
        root = write_cifar(tmp_path)
        first = CifarSource(root, CIFAR10, "test", 4).identity()
        content = (root / "test_batch").read_bytes()
        (root / "test_batch").write_bytes(python2_pickle(batch(77, 4)))

        assert len((root / "test_batch").read_bytes()) == len(content)
        assert CifarSource(root, CIFAR10, "test", 4).identity() != first

    def test_a_hostile_pickle_is_not_run(self, tmp_path: Path) -> None:
        class Hostile:
            def __reduce__(self) -> tuple[object, ...]:
                return os.mkdir, (str(tmp_path / "was_run"),)

        root = write_cifar(tmp_path)
        (root / "test_batch").write_bytes(pickle.dumps({"data": Hostile(), "labels": []}))
        with pytest.raises(
            SourceError, match=r"test_batch' cannot be read as a file of CIFAR: it asks for 'posix.mkdir'"
        ):
            CifarSource(root, CIFAR10, "test", 4)
        assert not (tmp_path / "was_run").exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"garbage", "cannot be read as a file of CIFAR: it is damaged"),
            (pickle.dumps([1]), "holds a list, expected a dict with 'data' and labels"),
            (pickle.dumps({"labels": []}), "'data' of '{path}' is NoneType, expected uint8 (n, 3072)"),
            (
                pickle.dumps({"data": planes(0, 2)[:, :9]}),
                "'data' of '{path}' is uint8 (2, 9), expected uint8 (n, 3072)",
            ),
            (pickle.dumps({"data": planes(0, 2) / 1}), "'data' of '{path}' is float64 (2, 3072), expected uint8"),
            (pickle.dumps({"data": planes(0, 2), "labels": [1]}), "'labels' of '{path}' is no list of 2 whole numbers"),
            (pickle.dumps({"data": planes(0, 1), "labels": ["x"]}), "'labels' of '{path}' is no list of 1 whole"),
        ],
    )
    def test_damaged_files(self, content: bytes, message: str, tmp_path: Path) -> None:
        path = write_cifar(tmp_path) / "test_batch"
        path.write_bytes(content)
        with pytest.raises(SourceError) as caught:
            CifarSource(path.parent, CIFAR10, "test", 4)
        assert message.replace("{path}", str(path)) in str(caught.value)


class TestAFolderOfOnesOwn:
    def test_it_is_the_one_that_is_looked_in(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(cifar, "CIFAR10", small(CIFAR10, 4))
        write_cifar(folder, 3)
        write_cifar(tmp_path / "own")
        assert len(cifar.open_cifar10("test", tmp_path / "own", download=False)) == 4

    def test_what_is_not_there_is_not_fetched(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def fetched(*_: object) -> None:
            raise AssertionError("it was fetched")

        write_cifar(folder)
        monkeypatch.setattr("genmetrics.sources.fetch.download", fetched)
        with pytest.raises(SourceError) as caught:
            cifar.open_cifar10("test", tmp_path / "own", download=False)
        assert str(caught.value) == (
            f"dataset 'cifar10' is not here: looked for the folder 'cifar-10-batches-py' in '{tmp_path / 'own'}'; it "
            f"was not to be fetched: put cifar-10-python.tar.gz into '{tmp_path / 'own'}', or allow the download"
        )

    def test_what_is_fetched_is_put_there(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def fetched(url: str, path: Path, *_: object) -> None:
            root = write_cifar(tmp_path / "packed")
            with tarfile.open(path, "w:gz") as tar:
                tar.add(root, root.name)

        monkeypatch.setattr(cifar, "CIFAR10", small(CIFAR10, 4))
        monkeypatch.setattr("genmetrics.sources.fetch.download", fetched)
        assert len(cifar.open_cifar10("train", tmp_path / "own")) == 20
        assert [path.name for path in (tmp_path / "own").iterdir()] == ["cifar-10-batches-py"]
        assert not list(folder.iterdir())


class TestStl10:
    def test_the_images_in_their_order(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        images = np.stack([pixels(index, 96, 96) for index in range(3)])
        (tmp_path / "train_X.bin").write_bytes(images.transpose(0, 3, 2, 1).tobytes())
        (tmp_path / "train_y.bin").write_bytes(bytes([1, 10, 3]))
        (tmp_path / "class_names.txt").write_text("airplane\nbird\n")
        source = Stl10Source(tmp_path, "train", 3)
        got = collect(source, workers=2)

        assert source.class_names == ("airplane", "bird")
        np.testing.assert_array_equal(np.stack([got.images[index] for index in range(3)]), images)
        assert got.labels == {0: 0, 1: 9, 2: 2}

    def test_as_torchvision_reads_it(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        import_peer("torch_fidelity.datasets")
        from torchvision.datasets import STL10 as Theirs

        root = tmp_path / "stl10_binary"
        root.mkdir()
        for split in ("train", "test"):
            (root / f"{split}_X.bin").write_bytes(np.random.default_rng(0).bytes(3 * 3 * 96 * 96))
            (root / f"{split}_y.bin").write_bytes(bytes([1, 10, 3]))
        (root / "unlabeled_X.bin").write_bytes(b"")

        class Unchecked(Theirs):  # type: ignore[misc, valid-type]
            def _check_integrity(self) -> bool:
                return True

        theirs = Unchecked(tmp_path, split="test")
        got = collect(Stl10Source(root, "test", 3))
        for index in range(3):
            image, label = theirs[index]
            np.testing.assert_array_equal(got.images[index], np.asarray(image))
            assert got.labels[index] == label

    def test_by_name(self, folder: Path, collect: Callable[..., Collected]) -> None:
        """The real number of images; a file with a hole takes no room."""
        root = folder / "stl10_binary"
        root.mkdir()
        with (root / "unlabeled_X.bin").open("wb") as file:
            file.truncate(100_000 * 27_648)
            file.seek(99_999 * 27_648)
            file.write(pixels(1, 96, 96).transpose(2, 1, 0).tobytes())
        source = open_source("stl10:unlabeled")
        got = collect(source, selection=(0, 99_999))

        assert len(source) == 100_000
        np.testing.assert_array_equal(got.images[1], pixels(1, 96, 96))
        assert got.labels == {}

    @pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin", "class_names.txt"])
    def test_a_file_that_changes(self, name: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        """The images are mapped: a change shows at once, also where size and time are kept."""
        (tmp_path / "train_X.bin").write_bytes(np.random.default_rng(0).bytes(3 * 27_648))
        (tmp_path / "train_y.bin").write_bytes(bytes([1, 2, 3]))
        (tmp_path / "class_names.txt").write_text("a b c")
        source = Stl10Source(tmp_path, "train", 3)
        collect(source)
        before, identity, state = source.fingerprint(), source.identity(), (tmp_path / name).stat()
        content = bytearray((tmp_path / name).read_bytes())
        content[0] += 1
        with (tmp_path / name).open("r+b") as file:
            file.write(content)
        os.utime(tmp_path / name, ns=(state.st_atime_ns, state.st_mtime_ns))

        assert source.fingerprint().digest != before.digest
        for read in (lambda: collect(source), source.identity):
            with pytest.raises(SourceError, match=rf"{name}' has changed since it was opened; open it again"):
                read()
        again = Stl10Source(tmp_path, "train", 3)
        assert again.fingerprint() == source.fingerprint()
        assert again.identity() != identity

    def test_wrong_sizes_and_labels(self, tmp_path: Path) -> None:
        (tmp_path / "train_X.bin").write_bytes(bytes(2 * 27_648))
        (tmp_path / "train_y.bin").write_bytes(bytes([0, 1]))
        with pytest.raises(SourceError) as caught:
            Stl10Source(tmp_path, "train", 3)
        assert str(caught.value) == (
            f"'{tmp_path}/train_X.bin' has 55,296 bytes, expected 82,944 (3 images of 27,648 bytes); it is not the "
            "published file: delete its folder to have it fetched again"
        )
        with pytest.raises(
            SourceError, match=r"train_y.bin' holds labels outside 1..10; it is damaged, fetch it again"
        ):
            Stl10Source(tmp_path, "train", 2)


class TestImageNet:
    def write(self, root: Path) -> Path:
        for number, wnid in enumerate(("n02000000", "n01000000", "n03000000")):
            (root / wnid).mkdir(parents=True)
            for index in range(2):
                (root / wnid / f"{wnid}_{index}.JPEG").write_bytes(png(pixels(10 * number + index)))
        return root

    def test_labels_are_of_the_sorted_folders(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        source = ImageNetSource(self.write(tmp_path / "val"), "val", 3, 6)
        got = collect(source)

        assert source.class_names == ("n01000000", "n02000000", "n03000000")
        assert [got.labels[index] for index in range(6)] == [0, 0, 1, 1, 2, 2]
        np.testing.assert_array_equal(got.images[0], pixels(10))
        assert (source.kind, source.description) == ("imagenet", "imagenet:val")
        assert source.fingerprint().digest is not None

    def test_other_layouts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GENMETRICS_IMAGENET", raising=False)
        with pytest.raises(
            SourceError, match=r"set GENMETRICS_IMAGENET to the folder that holds 'val/n01440764/….JPEG'"
        ):
            open_source("imagenet:val")
        monkeypatch.setenv("GENMETRICS_IMAGENET", str(tmp_path))
        root = self.write(tmp_path / "val")
        with pytest.raises(
            SourceError, match=r"val' has 3 class folders; expected 1,000 class folders such as '.*n01440"
        ):
            open_source("imagenet:val")
        with pytest.raises(SourceError, match=r"has 6 images, and ImageNet's val split has 7; .* 'folder:.*val'"):
            ImageNetSource(root, "val", 3, 7)
        (root / "n03000000").rename(root / "cats")
        with pytest.raises(SourceError, match="has 3 class folders, 'cats' among them; expected 3 class folders"):
            ImageNetSource(root, "val", 3, 6)
        (root / "ILSVRC2012_val_1.JPEG").write_bytes(png(pixels(0)))
        with pytest.raises(SourceError, match=r"1 image that are in no class folder, such as 'ILSVRC2012_val_1.JPEG'"):
            ImageNetSource(root, "val", 3, 7)
        with pytest.raises(SourceError, match="does not exist"):
            open_source("imagenet:train")
        assert imagenet.FOLDER == "GENMETRICS_IMAGENET"


class TestFetching:
    """From an archive of the official layout, which a patched address or a copied file brings."""

    @pytest.fixture
    def archive(self, tmp_path: Path) -> Path:
        write_cifar(tmp_path / "made")
        path = tmp_path / "made" / "cifar-10-python.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
            extra = tarfile.TarInfo("../outside")
            tar.addfile(extra, io.BytesIO())
            link = tarfile.TarInfo("cifar-10-batches-py/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/"
            tar.addfile(link)
        return path

    @pytest.fixture
    def files(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> cifar.CifarFiles:
        md5 = hashlib.md5(archive.read_bytes()).hexdigest()
        changed = dataclasses.replace(small(CIFAR10, 4), archive=dataclasses.replace(CIFAR10.archive, md5=md5))
        monkeypatch.setattr(cifar, "CIFAR10", changed)
        return changed

    def serve(self, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Response(content))

    def test_offline(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(SourceError) as caught:
            open_source("cifar10:train")
        said, _, ways = str(caught.value).partition(" failed: ")
        assert said == (
            f"dataset 'cifar10' is not here: looked for the folder 'cifar-10-batches-py' in '{folder}' and "
            f"'{tmp_path}/torch/fidelity_datasets' and '{tmp_path}/cache/genmetrics/datasets'; downloading "
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
        )
        assert ways.partition("\n")[2] == (
            f"  copy the archive:     put cifar-10-python.tar.gz into '{folder}', where it is unpacked\n"
            "  or the folder:        put 'cifar-10-batches-py' there, as torchvision lays it out\n"
            "  or say where it is:   GENMETRICS_DATASETS=FOLDER, the folder that holds 'cifar-10-batches-py'"
        )
        assert list(folder.iterdir()) == []

    def test_a_download(
        self, folder: Path, archive: Path, files: cifar.CifarFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.serve(monkeypatch, archive.read_bytes())

        assert len(open_source("cifar10:train")) == 20
        assert [path.name for path in folder.iterdir()] == ["cifar-10-batches-py"]
        assert sorted(path.name for path in (folder / "cifar-10-batches-py").iterdir()) == sorted(
            (*files.archive.files, "batches.meta")
        )
        monkeypatch.setattr("urllib.request.urlopen", None)  # never asked again
        assert len(open_source("cifar10:test")) == 4

    def test_the_copied_archive(self, folder: Path, archive: Path, files: cifar.CifarFiles) -> None:
        (folder / archive.name).write_bytes(archive.read_bytes())

        assert len(open_source("cifar10:train")) == 20
        assert sorted(path.name for path in folder.iterdir()) == ["cifar-10-batches-py", archive.name]

    @pytest.mark.parametrize("where", ["torch/fidelity_datasets", "cache/genmetrics/datasets"])
    def test_other_folders(self, where: str, folder: Path, tmp_path: Path, files: cifar.CifarFiles) -> None:
        write_cifar(tmp_path / where)
        assert len(open_source("cifar10:train")) == 20

    def test_without_the_variable_it_goes_to_the_cache(
        self, folder: Path, archive: Path, files: cifar.CifarFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("GENMETRICS_DATASETS")
        self.serve(monkeypatch, archive.read_bytes())
        open_source("cifar10:train")

        assert (tmp_path / "cache" / "genmetrics" / "datasets" / "cifar-10-batches-py").is_dir()

    def test_other_content(
        self, folder: Path, archive: Path, files: cifar.CifarFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.serve(monkeypatch, b"<html>")
        with pytest.raises(SourceError, match=r"failed: .* gave other content \(6 bytes, md5 [0-9a-f]{12}…\) than"):
            open_source("cifar10:train")
        assert list(folder.iterdir()) == []
        (folder / archive.name).write_bytes(b"half")
        with pytest.raises(
            SourceError, match=r"is not the published archive of dataset 'cifar10' .* delete it, or copy"
        ):
            open_source("cifar10:train")

    def test_an_archive_without_the_files(
        self, folder: Path, files: cifar.CifarFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for content, message in (
            (b"no archive", "cannot be unpacked"),
            (_tar({"x": b""}), "has no data_batch_1, data"),
        ):
            changed = dataclasses.replace(files.archive, md5=hashlib.md5(content).hexdigest())
            monkeypatch.setattr(cifar, "CIFAR10", dataclasses.replace(files, archive=changed))
            self.serve(monkeypatch, content)
            with pytest.raises(SourceError, match=message):
                open_source("cifar10:train")
            assert list(folder.iterdir()) == []

    def test_a_file_as_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GENMETRICS_DATASETS", str(tmp_path / "file"))
        with pytest.raises(SourceError, match="is a file, expected the folder in which datasets are kept"):
            open_source("cifar10:train")

    @pytest.mark.network
    @pytest.mark.parametrize("name", ["cifar10:test", "cifar100:test"])
    def test_the_official_archive(self, name: str, folder: Path, collect: Callable[..., Collected]) -> None:
        source = open_source(name)
        assert len(source) == 10_000
        assert len(source.class_names) == (10 if "10:" in name and "100" not in name else 100)
        assert collect(source, selection=(0,)).labels[0] == {"cifar10:test": 3, "cifar100:test": 49}[name]

    def test_the_published_sums(self) -> None:
        """As torchvision has them, which checks the same archives."""
        import_peer("torch_fidelity.datasets")
        from torchvision import datasets

        for ours, theirs in (
            (CIFAR10.archive, datasets.CIFAR10),
            (CIFAR100.archive, datasets.CIFAR100),
            (stl10.STL10, datasets.STL10),
        ):
            assert (ours.url, ours.name, ours.folder) == (theirs.url, theirs.filename, theirs.base_folder)
            assert ours.md5 == theirs.tgz_md5


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))


IMAGES = np.stack([pixels(index) for index in range(4)])


def open_toy(split: str) -> object:
    return IMAGES if split == "train" else torch.utils.data.TensorDataset(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))


@pytest.mark.usefixtures("own_registry")
class TestNames:
    def test_datasets_of_third_parties(self, collect: Callable[..., Collected]) -> None:
        gm.register_dataset(
            DatasetInfo("toy-set", "sources.test_datasets:open_toy", {"train": 4, "val": None}, "a toy")
        )

        assert gm.list_datasets()[-1].name == "toy-set"
        for split, kind in (("train", "array"), ("val", "dataset")):
            source = open_source(f"toy-set:{split}")
            assert source.kind == kind
            np.testing.assert_array_equal(collect(source).images[3], IMAGES[3])
        with pytest.raises(UsageError, match="dataset 'toy-set' is registered already"):
            register_dataset(DatasetInfo("toy-set", "a:b", {"train": None}, "another"))

    @pytest.mark.parametrize(
        ("name", "splits", "message"),
        [
            ("zip", {"a": None}, "a dataset cannot be named 'zip', which is a source kind; choose another name"),
            ("a:b", {"a": None}, "a dataset cannot be named 'a:b'; expected at least two letters, digits, '-' or '_'"),
            ("c", {"a": None}, "a dataset cannot be named 'c'"),
            ("good", {}, "dataset 'good' has no splits, expected at least one, such as {'train': None}"),
        ],
    )
    def test_bad_registrations(self, name: str, splits: dict, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            register_dataset(DatasetInfo(name, "a:b", splits, "x"))
        assert message in str(caught.value)

    def test_splits(self) -> None:
        for text in ("cifar10", "cifar10:"):
            with pytest.raises(
                UsageError, match="dataset 'cifar10' needs a split; give 'cifar10:train', 'cifar10:test'"
            ):
                open_source(text)
        with pytest.raises(UsageError, match="dataset 'cifar10' has no split 'tran'; did you mean 'train'"):
            open_source("cifar10:tran")

    def test_names_that_are_nearly_right(self) -> None:
        with pytest.raises(
            SourceError, match=r"'cifar1:train': unknown source kind or dataset 'cifar1', .* 'cifar10' or"
        ):
            open_source("cifar1:train")
        for text, meant in (
            ("cifar10-train", "'cifar10:train'"),
            ("cifar10-val", "'cifar10:train' or 'cifar10:test'"),
            ("cifar100-test", "'cifar100:test'"),
            ("stl10-unlabeled", "'stl10:unlabeled'"),
            ("cifar10_test", "'cifar10:test'"),
            ("cifar10/test", "'cifar10:test'"),
        ):
            with pytest.raises(SourceError) as caught:
                open_source(text)
            assert str(caught.value) == f"'{text}' does not exist; did you mean the dataset {meant}?"

    def test_paths_of_the_same_name(
        self, tmp_path: Path, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(make_folder().parent)
        for name, rest in (
            ("cifar10:train", "; rename the path to have the dataset"),
            ("cifar10", ", or 'cifar10:train' for the dataset"),
        ):
            Path("images").rename(name)
            with pytest.raises(SourceError) as caught:
                open_source(name)
            assert str(caught.value) == (
                f"'{name}' is both a path that exists and the name of a dataset; give './{name}' for the path{rest}"
            )
            assert len(open_source(f"./{name}")) == 5
            assert len(open_source(Path(name))) == 5
            Path(name).rename("images")
        Path("images").rename("cifar10-train")
        assert len(open_source("cifar10-train")) == 5

    def test_every_target_can_be_imported(self) -> None:
        from genmetrics.registry import load_target

        for info in gm.list_datasets():
            assert callable(load_target(info.target))
            assert info.summary

    def test_an_unknown_name(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown dataset 'cifar11'; did you mean 'cifar10'"):
            DATASETS.get("cifar11")


def test_the_hub_sets_are_read_by_the_kind_hf(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    source = ArraySource(IMAGES)
    monkeypatch.setattr("genmetrics.sources.parse.open_source", lambda text: seen.append(text) or source)
    for name, make, split in (("svhn", hub_sets.open_svhn, "extra"), ("celeba", hub_sets.open_celeba, "valid")):
        with pytest.raises(SourceError, match=rf"on the hub has {len(IMAGES)} images, and {name}:{split} has "):
            make(split)
        info = dataclasses.replace(DATASETS.get(name), splits={split: len(IMAGES)})
        monkeypatch.setitem(DATASETS._entries, name, info)
        assert make(split) is source
    assert seen[::2] == ["hf:ufldl-stanford/svhn/cropped_digits:extra", "hf:flwrlabs/celeba:valid"]
