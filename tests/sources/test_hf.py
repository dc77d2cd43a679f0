"""Parquet, arrow and Hugging Face datasets: the images are those of the same files in a folder, bit for bit."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genmetrics.errors import BadImageError, DependencyError, SourceError
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.folder import FolderSource
from genmetrics.sources.hf import HfSource
from genmetrics.sources.hub import HubTable
from genmetrics.sources.loader import ItemSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.table_source import ArrowSource, ParquetSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png

pa = pytest.importorskip("pyarrow", reason="pip install 'genmetrics[hf]'")
pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'genmetrics[hf]'")

COUNT = 9
NAMES = ["cat", "dog", "emu"]


def encoded(number: int) -> bytes:
    """PNG, JPEG, or a PNG with transparency."""
    array = pixels(number, 8 + number % 2, 6, 4 if number % 3 == 2 else 3)
    if number % 3 != 1:
        return png(array)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


ENCODED = [encoded(number) for number in range(COUNT)]
LABELS = [number % 3 for number in range(COUNT)]
#: What the `datasets` library writes beside the columns.
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
    "caption": {"dtype": "string", "_type": "Value"},
}


def table(rows: range = range(COUNT), features: dict | None = None, **columns: object) -> pa.Table:
    """A table as the library writes it; keyword arguments replace or add columns."""
    data = {
        "image": pa.array([{"bytes": ENCODED[row], "path": f"{row}.x"} for row in rows]),
        "label": pa.array([LABELS[row] for row in rows], pa.int64()),
        "caption": pa.array([f"the {row}" for row in rows]),
    }
    data = {name: values for name, values in (data | columns).items() if values is not None}
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES if features is None else features}})}
    return pa.table(data).replace_schema_metadata(metadata)


def write_stream(path: Path, content: pa.Table, rows: int = 4) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)
    return path


def write_file(path: Path, content: pa.Table, rows: int = 4) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)
    return path


def write_parquet(path: Path, content: pa.Table, rows: int = 4) -> Path:
    pq.write_table(content, path, row_group_size=rows)
    return path


WRITERS = {"parquet": write_parquet, "arrow": write_stream, "feather": write_file}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in-a-folder"
    root.mkdir()
    for number, data in enumerate(ENCODED):
        (root / f"{number}.png").write_bytes(data)
    return root


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, which neither reaches the hub nor leaves anything in the user's cache."""
    for name, value in (("HF_HOME", str(tmp_path / "hf")), ("HF_HUB_OFFLINE", "1")):
        monkeypatch.setenv(name, value)
    library = pytest.importorskip("datasets", reason="pip install 'genmetrics[hf]'")
    library.disable_progress_bars()
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "hf" / "datasets")
    return library


def message(given: object, **options: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(given, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
class TestFiles:
    @pytest.mark.parametrize("workers", [0, 3])
    @pytest.mark.parametrize("count", [1, 2, 4, 12])
    @pytest.mark.parametrize("alpha", ["drop", "white"])
    def test_images_equal_those_of_a_folder(
        self,
        kind: str,
        workers: int,
        count: int,
        alpha: str,
        tmp_path: Path,
        folder: Path,
        collect: Callable[..., Collected],
    ) -> None:
        source = open_source(WRITERS[kind](tmp_path / "x.bin", table()))
        expected = collect(FolderSource(folder), alpha=alpha)

        images: dict[int, np.ndarray] = {}
        transparent = 0
        for number in range(count):
            got = collect(source, Shard(number, count), workers=workers, batch_size=2, alpha=alpha)
            images |= got.images
            transparent += sum(batch.num_transparent for batch in got.batches)

        assert sorted(images) == list(range(COUNT))
        assert transparent == COUNT // 3
        for index, found in images.items():
            np.testing.assert_array_equal(found, expected.images[index])

    def test_recognised_by_content_and_forced(self, kind: str, tmp_path: Path) -> None:
        path = WRITERS[kind](tmp_path / "x.bin", table())
        expected = ParquetSource if kind == "parquet" else ArrowSource

        for given in (path, str(path), f"{expected.kind}:{path}", f"{tmp_path}/*.bin"):
            assert type(open_source(given)) is expected, given
        assert len(open_source(f"hf:{path}")) == COUNT

    def test_labels_with_their_names(self, kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        source = open_source(WRITERS[kind](tmp_path / "x", table()))

        got = collect(source, selection=(1, 5, 8), workers=1)

        assert got.labels == {0: 1, 1: 2, 2: 2}
        assert source.class_names == tuple(NAMES)
        for index, number in enumerate((1, 5, 8)):
            assert got.images[index].shape == (8 + number % 2, 6, 3)
        assert collect(open_source(tmp_path / "x", labels="none")).labels == {}

    def test_many_files_in_order(
        self, kind: str, tmp_path: Path, folder: Path, collect: Callable[..., Collected]
    ) -> None:
        for part, rows in enumerate((range(4), range(4, 5), range(5, 9))):
            WRITERS[kind](tmp_path / f"p-{part}.bin", table(rows), 2)
        source = open_source(f"{tmp_path}/p-{{0..2}}.bin")
        expected = collect(FolderSource(folder))

        got = collect(source, workers=2, batch_size=3)

        for index in range(COUNT):
            np.testing.assert_array_equal(got.images[index], expected.images[index])
        assert got.labels == dict(enumerate(LABELS))
        assert isinstance(source, ItemSource)
        assert list(source.names()) == [
            *(f"p-0.bin[{row}]" for row in range(4)),
            "p-1.bin[0]",
            *(f"p-2.bin[{row}]" for row in range(4)),
        ]
        assert list(source.names()) == ItemSource.names(source)

    def test_bad_rows_are_named(self, kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        cells = [{"bytes": data, "path": None} for data in ENCODED]
        cells[3] = {"bytes": b"text", "path": None}
        cells[5] = {"bytes": None, "path": "/etc/secret.png"}
        cells[6] = {"bytes": None, "path": None}
        cells[7] = None
        path = WRITERS[kind](tmp_path / "x.bin", table(image=pa.array(cells)))

        with pytest.raises(BadImageError) as caught:
            collect(open_source(path), workers=2)

        assert caught.value.images == (
            ("x.bin[3]", "not an image that Pillow can read (it starts with b'text')"),
            (
                "x.bin[5]",
                "the row holds no bytes but the path '/etc/secret.png', which is not followed; save the set with the "
                "images in it, as `datasets` does with `save_to_disk` and `push_to_hub`",
            ),
            ("x.bin[6]", "the row holds no image (null bytes)"),
            ("x.bin[7]", "the row holds no image (null)"),
        )

    @pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
    def test_cut_off(self, kind: str, fraction: float, tmp_path: Path) -> None:
        path = WRITERS[kind](tmp_path / "x.bin", table(caption=pa.array(["long " * 4000] * COUNT)))
        os.truncate(path, int(path.stat().st_size * fraction))

        expected = "a parquet" if kind == "parquet" else "an arrow"
        assert message(path).startswith(
            f"'{path}' is not {expected} file that can be read, or it is damaged or cut short ("
        )
        assert message(path).endswith("); copy, download or save it again")

    def test_a_file_that_changes_after_it_was_opened(
        self, kind: str, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        source = open_source(WRITERS[kind](tmp_path / "x.bin", table()))
        WRITERS[kind](tmp_path / "x.bin", table(range(5)))

        with pytest.raises(SourceError, match=r"x\.bin' has changed since it was opened; open it again"):
            collect(source)

    def test_the_fingerprint(self, kind: str, tmp_path: Path) -> None:
        path = WRITERS[kind](tmp_path / "x.bin", table())
        source, state = open_source(path), path.stat()
        first, identity = source.fingerprint(), source.identity()
        assert open_source(path).fingerprint() == first
        assert first.kind == ("parquet" if kind == "parquet" else "arrow")

        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(byte)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert path.stat().st_mtime_ns == state.st_mtime_ns
        second = open_source(path)
        assert (second.fingerprint().digest == first.digest, second.identity() == identity) == (False, True)
        assert source.fingerprint() == second.fingerprint()

    def test_the_column_is_part_of_the_fingerprint(self, kind: str, tmp_path: Path) -> None:
        path = WRITERS[kind](tmp_path / "x.bin", table(other=pa.array([{"bytes": data} for data in ENCODED])))

        prints = {open_source(f"hf:{path}:{column}").fingerprint().digest for column in ("image", "other")}
        assert len(prints) == 2

    def test_array_columns(self, kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        arrays = [pixels(number, 4 + number, 5, (1, 3, 4)[number % 3]) for number in range(COUNT)]
        lists = pa.array([array.tolist() for array in arrays], pa.list_(pa.list_(pa.list_(pa.uint8()))))
        path = WRITERS[kind](tmp_path / "x.bin", table(image=lists, features={}))

        got = collect(open_source(path), workers=2)

        for index, array in enumerate(arrays):
            expected = np.repeat(array, 3, 2) if array.shape[2] == 1 else array[..., :3]
            np.testing.assert_array_equal(got.images[index], expected)

    @pytest.mark.parametrize(
        ("cell", "shape"),
        [
            ([[[1, 2, 3]], [[1, 2]]], "lists of different lengths"),
            ([[[1] * 8] * 8] * 3, r"\(3, 8, 8\)"),
            ([[[1, 2, 3]], [[1, 2, 3], [1, 2, 3]]], "lists of different lengths"),
            ([], r"\(0, 0, 0\)"),
            ([[[1, None, 3]]], r"\(1, 1, 3\)"),
        ],
    )
    def test_arrays_that_are_no_images(
        self, kind: str, cell: list, shape: str, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        lists = pa.array([cell], pa.list_(pa.list_(pa.list_(pa.uint8()))))
        path = WRITERS[kind](tmp_path / "x.bin", pa.table({"a": lists}))

        with pytest.raises(BadImageError, match=rf"the array (is|holds) .*{shape}"):
            collect(open_source(path))


class TestColumns:
    def test_none(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "x.parquet", table(image=None))

        assert message(path) == (
            f"parquet '{path}' has no column of images (encoded bytes, a struct with 'bytes', or uint8 lists (h, w, "
            "c)); its columns: label (int64), caption (string)"
        )

    def test_several(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        masks = pa.array([{"bytes": data, "path": None} for data in ENCODED[::-1]])
        features = FEATURES | {"mask": {"_type": "Image"}}
        path = write_parquet(tmp_path / "x.parquet", table(mask=masks, features=features))

        assert message(path) == (
            f"parquet '{path}' has several columns of images: image, mask; give one of them: 'hf:{path}::image'"
        )
        first = collect(open_source(f"hf:{path}::image")).images[0]
        np.testing.assert_array_equal(collect(open_source(f"hf:{path}:mask")).images[COUNT - 1], first)

    def test_what_says_that_it_is_an_image_comes_before_other_bytes(self, tmp_path: Path) -> None:
        sound = pa.array([{"bytes": b"RIFF", "path": None}] * COUNT)
        features = FEATURES | {"sound": {"_type": "Audio"}}
        path = write_parquet(tmp_path / "x.parquet", table(sound=sound, raw=pa.array([b""] * COUNT), features=features))

        assert len(open_source(path)) == COUNT
        assert "no column of images" in message(write_parquet(path, table(sound=sound, image=None, features=features)))

    def test_plain_bytes(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        """As img2dataset writes them."""
        for kind in (pa.binary(), pa.large_binary()):
            path = write_parquet(
                tmp_path / "x.parquet", pa.table({"jpg": pa.array(ENCODED, kind), "key": ["a"] * COUNT})
            )
            assert len(collect(open_source(path)).images) == COUNT

    def test_one_that_is_not_there_or_holds_no_images(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "x.parquet", table())

        assert message(f"hf:{path}::img") == (
            f"hf '{path}::img' has no column 'img'; its columns: image (struct<bytes: binary, path: string>), "
            "label (int64), caption (string)"
        )
        assert message(f"hf:{path}::caption") == (
            f"column 'caption' of hf '{path}::caption' is string, expected images: encoded bytes, a struct with "
            "'bytes', or uint8 lists (h, w, c)"
        )

    def test_no_rows(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "x.parquet", table(range(0)).cast(table().schema))

        assert message(path) == f"parquet '{path}' has no rows, expected at least one image"

    def test_files_of_other_columns(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "a.parquet", table())
        write_parquet(tmp_path / "b.parquet", table(caption=None))

        assert message(f"{tmp_path}/?.parquet") == (
            f"'{tmp_path}/b.parquet' has the columns image (struct<bytes: binary, path: string>), label (int64), but "
            f"'{tmp_path}/a.parquet' has image (struct<bytes: binary, path: string>), label (int64), caption (string); "
            "give files of the same columns"
        )

    def test_missing_files(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "p-0.parquet", table())

        assert message(f"{tmp_path}/p-{{0..2}}.parquet").startswith(
            f"2 of 3 files that '{tmp_path}/p-{{0..2}}.parquet' stands for do not exist: {tmp_path}/p-1.parquet, "
        )


class TestLabels:
    def labels(self, tmp_path: Path, collect: Callable[..., Collected], **columns: object) -> object:
        source = open_source(write_parquet(tmp_path / "x.parquet", table(**columns)))  # type: ignore[arg-type]
        return source.class_names, [label for _, label in sorted(collect(source).labels.items())]

    def test_a_column_called_label_without_names(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        assert self.labels(tmp_path, collect, features={}) == ((), LABELS)

    def test_the_only_column_of_classes(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        features = {"image": FEATURES["image"], "fine": FEATURES["label"]}
        found = self.labels(tmp_path, collect, features=features, label=None, fine=pa.array(LABELS[::-1]))
        assert found == (tuple(NAMES), LABELS[::-1])

    def test_several_columns_of_classes(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        features = FEATURES | {"fine": FEATURES["label"]}
        found = self.labels(tmp_path, collect, features=features, fine=pa.array(LABELS[::-1]))
        assert found == (tuple(NAMES), LABELS)
        features["coarse"] = FEATURES["label"]
        found = self.labels(
            tmp_path, collect, features=features, label=None, fine=pa.array(LABELS), coarse=pa.array(LABELS)
        )
        assert found == ((), [])

    @pytest.mark.parametrize("values", [pa.array(["a"] * COUNT), pa.array([0.5] * COUNT), pa.array([-1] * COUNT)])
    def test_no_classes(self, values: object, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        assert self.labels(tmp_path, collect, label=values) == ((), [])

    @pytest.mark.parametrize("gone", [None, -1])
    def test_some_without(self, gone: int | None, tmp_path: Path) -> None:
        values = pa.array([0, gone, 1, gone, *LABELS[4:]], pa.int64())
        path = write_parquet(tmp_path / "x.parquet", table(label=values))

        assert message(path).startswith(
            f"parquet '{path}': 2 of 9 images have no label in column 'label': x.parquet[1], x.parquet[3]. To measure"
        )
        assert len(open_source(path, labels="none")) == COUNT


class TestSavedToDisk:
    def saved(self, datasets: Any, tmp_path: Path, splits: bool) -> Path:
        features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=NAMES))
        rows = {"image": [{"bytes": data, "path": None} for data in ENCODED], "label": LABELS}
        whole = datasets.Dataset.from_dict(rows, features=features)
        if splits:
            parts = {"train": whole.select(range(6)), "test": whole.select(range(8, 5, -1))}
            datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
        else:
            whole.save_to_disk(tmp_path / "saved", num_shards=2)
        return tmp_path / "saved"

    @pytest.mark.parametrize("workers", [0, 2])
    def test_one_dataset(
        self, workers: int, datasets: Any, tmp_path: Path, folder: Path, collect: Callable[..., Collected]
    ) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        expected = collect(FolderSource(folder))

        for given in (f"hf:{path}", path, f"hf:{path}:image", f"hf:{path}::image"):
            source = open_source(given)
            assert type(source) is HfSource
            got = collect(source, workers=workers)
            assert got.labels == dict(enumerate(LABELS))
            for index in range(COUNT):
                np.testing.assert_array_equal(got.images[index], expected.images[index])

    def test_splits(self, datasets: Any, tmp_path: Path, folder: Path, collect: Callable[..., Collected]) -> None:
        path = self.saved(datasets, tmp_path, splits=True)
        expected = collect(FolderSource(folder)).images

        assert message(path) == f"'{path}' has several splits, train, test; give one of them: 'hf:{path}:train'"
        assert message(f"hf:{path}:val") == (
            f"'{path}' has no split 'val'; give one of them: hf:{path}:train, hf:{path}:test"
        )
        assert len(open_source(f"hf:{path}:train")) == 6
        got = collect(open_source(f"hf:{path}:test:image"))
        for index, number in enumerate((8, 7, 6)):  # in the order of the dataset, not of the file it came from
            np.testing.assert_array_equal(got.images[index], expected[number])
            assert got.labels[index] == LABELS[number]

    def test_what_the_library_itself_reads(
        self, datasets: Any, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        got = collect(open_source(path))

        for index, row in enumerate(datasets.load_from_disk(path)):
            np.testing.assert_array_equal(got.images[index], np.asarray(row["image"].convert("RGB")))

    def test_array_features(self, datasets: Any, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        """An extension type once the library is imported, plain lists before."""
        arrays = np.stack([pixels(number, 5, 4) for number in range(COUNT)])
        features = datasets.Features(x=datasets.Array3D((5, 4, 3), "uint8"))
        whole = datasets.Dataset.from_dict({"x": list(arrays)}, features=features)
        whole.save_to_disk(tmp_path / "saved")
        whole.to_parquet(tmp_path / "x.parquet")

        for given in (tmp_path / "saved", tmp_path / "x.parquet"):
            got = collect(open_source(given), workers=1)
            for index in range(COUNT):
                np.testing.assert_array_equal(got.images[index], arrays[index])

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"_data_files": 3}'])
    def test_a_damaged_record(self, text: str, datasets: Any, tmp_path: Path) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        (path / "state.json").write_text(text)

        assert message(path).startswith(f"'{path}/state.json' is not what `save_to_disk` writes, or damaged (")

    @pytest.mark.parametrize("entry", ["{}", "3", '{"filename": 3}'])
    def test_a_record_of_no_files(self, entry: str, datasets: Any, tmp_path: Path) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        (path / "state.json").write_text(f'{{"_data_files": [{entry}]}}')

        assert "does not exist" in message(path)

    def test_files_outside_are_not_read(self, datasets: Any, tmp_path: Path) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        (path / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')

        assert message(path) == (
            f"'{path}/state.json' names files in other folders, expected files beside it: ../x.arrow"
        )

    def test_a_file_that_is_gone(self, datasets: Any, tmp_path: Path) -> None:
        path = self.saved(datasets, tmp_path, splits=False)
        (path / "data-00001-of-00002.arrow").unlink()

        assert message(path).startswith(f"'{path}/data-00001-of-00002.arrow' does not exist")


class TestFoldersOfFiles:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        data = tmp_path / "set" / "data"
        data.mkdir(parents=True)
        for part, rows in enumerate((range(4), range(4, 6))):
            write_parquet(data / f"train-{part:05}-of-00002-0123abcd.parquet", table(rows))
        write_parquet(data / "test-00000-of-00001.parquet", table(range(6, 9)))
        (data / ".hidden.parquet").write_bytes(b"x")
        return tmp_path / "set"

    def test_splits_by_the_names_of_files(self, root: Path, folder: Path, collect: Callable[..., Collected]) -> None:
        expected = collect(FolderSource(folder)).images

        got = collect(open_source(f"hf:{root}:train"), workers=2)

        assert len(got.images) == 6
        for index in range(6):
            np.testing.assert_array_equal(got.images[index], expected[index])
        assert len(open_source(f"hf:{root}:test:image")) == 3
        assert message(f"hf:{root}") == (
            f"'{root}' has several splits, test, train; give one of them: 'hf:{root}:test'"
        )
        assert message(root).endswith(
            f"found only .parquet (3), hidden files (1); for the images in these tables, give 'hf:{root}'"
        )

    def test_too_many_parts_and_no_splits(self, root: Path) -> None:
        path = root / "data" / "test-00000-of-00001.parquet"

        assert message(f"hf:{path}:train:image") == (
            f"'{path}' has no splits, but 'hf:{path}:train:image' asks for one; give 'hf:{path}:image'"
        )
        assert (
            message("hf:a:b:c:d") == "'hf:a:b:c:d' has 4 parts, expected hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:COLUMN"
        )

    def test_nothing_in_it(self, tmp_path: Path, folder: Path) -> None:
        assert message(f"hf:{folder}") == (
            f"'{folder}' holds neither a dataset that `save_to_disk` wrote nor .parquet or .arrow files; for the "
            f"images in it give 'folder:{folder}'"
        )

    def test_two_kinds_of_files(self, tmp_path: Path) -> None:
        (tmp_path / "two").mkdir()
        write_parquet(tmp_path / "two" / "a.parquet", table())
        write_stream(tmp_path / "two" / "a.arrow", table())

        assert message(f"hf:{tmp_path}/two").startswith("parquet and arrow files are mixed: ")
        assert message(f"hf:{tmp_path}/two").endswith(f"give those of one kind, such as '{tmp_path}/two/*.parquet'")

    def test_a_path_with_colons(self, tmp_path: Path) -> None:
        (tmp_path / "a:b").mkdir()
        path = write_parquet(tmp_path / "a:b" / "c:d.parquet", table())

        assert len(open_source(f"hf:{path}")) == len(open_source(f"hf:{path}:image")) == COUNT
        assert len(open_source(f"hf:{tmp_path}/a:b:image")) == COUNT


def test_an_arrow_stream_without_its_end_mark_is_told(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "x.arrow", table())
    assert open_source(path).notes == ()
    os.truncate(path, path.stat().st_size - 8)

    assert open_source(path).notes == (f"'{path}' has no end mark; it may have been cut short between two batches",)


def test_a_missing_path_is_not_asked_of_the_hub(tmp_path: Path) -> None:
    assert message(f"hf:{tmp_path}/none").startswith(f"'{tmp_path}/none' does not exist")
    assert message("hf:./none").startswith("'./none' does not exist")
    assert message("hf:a/b/c/d").startswith("'a/b/c/d' does not exist")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_files_are_not_held_in_memory(kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    rng = np.random.default_rng(0)
    noise = [png(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(300)]
    content = pa.table({"image": pa.array([{"bytes": data, "path": None} for data in noise])})
    path = WRITERS[kind](tmp_path / f"x.{kind}", content, 15)
    total = path.stat().st_size
    del content, noise
    before = pa.total_allocated_bytes()

    source = open_source(path)
    peak = 0
    tracemalloc.start()
    try:
        for batch in source.batches(Shard(), BatchSpec(batch_size=4, workers=1)):
            peak = max(peak, pa.total_allocated_bytes() - before)
            assert len(batch.images) <= 4
        python = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 12 * 2**20
    assert peak < total / 2
    assert python < total / 2


@pytest.mark.parametrize("kind", ["parquet", "arrow", "hf"])
def test_without_the_packages(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "x.parquet", table())
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(DependencyError, match=r"need the package 'pyarrow' .*pip install 'genmetrics\[hf\]'"):
        open_source(f"{kind}:{path}")


def test_listing_sources_and_opening_folders_imports_no_pyarrow(folder: Path) -> None:
    code = (
        "import sys; from genmetrics.sources.parse import open_source; open_source(sys.argv[1]); "
        "print([name for name in ('pyarrow', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def cached(dataset: Any, path: Path) -> Any:
    """As the library keeps what it has brought: rows that name files go on naming them."""
    content = dataset.data.table
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, content.schema) as writer:
        writer.write_table(content)
    return type(dataset).from_file(str(path))


class TestHub:
    """The library is stood in for by a dataset on disk; only ``network`` tests reach the hub."""

    @pytest.fixture
    def hub(self, datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        asked: list[tuple[str, dict]] = []
        features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=NAMES))
        loose = tmp_path / "cached" / "loose.png"
        outside = tmp_path / "outside.png"
        loose.parent.mkdir()
        for file in (loose, outside):
            file.write_bytes(ENCODED[1])
        cells = [{"bytes": data, "path": None} for data in ENCODED]
        cells[1] = {"bytes": None, "path": str(loose)}
        rows = {"img": cells, "label": LABELS}
        dataset = cached(datasets.Dataset.from_dict(rows, features=features), tmp_path / "cached" / "train.arrow")

        def load_dataset(name: str, configuration: str | None = None, **options: object) -> object:
            asked.append((name, {"configuration": configuration, **options}))
            return dataset

        def get_dataset_split_names(
            name: str, configuration: str | None = None, revision: str | None = None
        ) -> list[str]:
            return ["train", "test"]

        monkeypatch.setattr(datasets, "get_dataset_split_names", get_dataset_split_names)
        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return SimpleNamespace(asked=asked, dataset=dataset, loose=loose, outside=outside)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_images_and_labels(
        self, workers: int, hub: SimpleNamespace, folder: Path, collect: Callable[..., Collected]
    ) -> None:
        source = open_source("hf:someone/some-images:train")
        expected = collect(FolderSource(folder)).images

        got = collect(source, workers=workers, batch_size=2)

        assert hub.asked == [("someone/some-images", {"configuration": None, "split": "train", "revision": None})]
        for index in range(COUNT):
            np.testing.assert_array_equal(got.images[index], expected[index])
        assert got.labels == dict(enumerate(LABELS))
        assert source.class_names == tuple(NAMES)
        assert source.names()[3] == "someone/some-images:train[3]"
        assert sorted(collect(source, selection=(2, 7), workers=workers).images) == [0, 1]
        np.testing.assert_array_equal(collect(source, Shard(2, 3)).images[8], expected[8])

    def test_revision_and_column(self, hub: SimpleNamespace) -> None:
        open_source("hf:images@v1.0:test:img")

        assert hub.asked == [("images", {"configuration": None, "split": "test", "revision": "v1.0"})]

    def test_configuration(self, hub: SimpleNamespace) -> None:
        source = open_source("hf:someone/images/small@v2:train")

        asked = {"configuration": "small", "split": "train", "revision": "v2"}
        assert hub.asked == [("someone/images", asked)]
        assert source.names()[3] == "someone/images/small@v2:train[3]"

    def test_splits_and_columns_are_named(self, hub: SimpleNamespace) -> None:
        assert message("hf:images") == ("'images' has several splits, train, test; give one of them: 'hf:images:train'")
        assert message("hf:images:val").startswith("'images' has no split 'val'; give one of them: hf:images:train")
        assert "has no column 'image'; its columns: img (" in message("hf:images:train:image")

    def test_the_fingerprint_is_of_the_cached_files(self, hub: SimpleNamespace) -> None:
        first = open_source("hf:images:train").fingerprint()
        assert open_source("hf:images:train").fingerprint() == first
        assert open_source("hf:images:test").fingerprint().digest != first.digest
        os.utime(hub.dataset.cache_files[0]["filename"], ns=(0, 0))
        assert open_source("hf:images:train").fingerprint().digest != first.digest

    def test_a_file_that_a_row_names_is_part_of_the_set(self, hub: SimpleNamespace) -> None:
        source = open_source("hf:images:train")
        before, identity, state = source.fingerprint().digest, source.identity(), hub.loose.stat()
        assert source.identity() == identity
        hub.loose.write_bytes(bytes([ENCODED[1][0] ^ 1]) + ENCODED[1][1:])
        os.utime(hub.loose, ns=(state.st_atime_ns, state.st_mtime_ns))

        assert source.fingerprint().digest not in (None, before)
        assert source.identity() not in (None, identity)

    @pytest.mark.parametrize("way", ["elsewhere", "upwards", "link", "relative", "zero byte", "streamed"])
    def test_other_files_of_the_machine_are_not_read(
        self, way: str, hub: SimpleNamespace, datasets: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        named = {
            "elsewhere": str(hub.outside),
            "upwards": f"{hub.loose.parent}/../outside.png",
            "link": str(hub.loose.parent / "link.png"),
            "relative": "outside.png",
            "zero byte": f"{hub.loose}\0",
            "streamed": f"zip://a.png::{hub.outside}",
        }[way]
        (hub.loose.parent / "link.png").symlink_to(hub.outside)
        monkeypatch.chdir(tmp_path)
        rows = {"img": [{"bytes": None, "path": named}]}
        made = datasets.Dataset.from_dict(rows, features=datasets.Features(img=datasets.Image()))
        made = cached(made, hub.loose.parent / "more.arrow")
        monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: made)
        # The folder of the set's own files is one of those that are looked in.
        monkeypatch.setattr(HubTable, "folders", (hub.loose.parent.resolve(),))

        source = open_source("hf:images:train")
        before = source.fingerprint()
        with pytest.raises(BadImageError) as caught:
            list(source.batches(Shard(), BatchSpec()))
        assert (
            f"images:train[0]: the row names the file '{named}', which is in none of the folders of the Hugging Face "
            "cache and is not followed; give a set that has its images in it, as `push_to_hub` saves them"
        ) in str(caught.value)
        hub.outside.write_bytes(b"x")
        assert source.fingerprint() == before

    def test_the_folders_of_the_cache(self, hub: SimpleNamespace, datasets: Any) -> None:
        folders = HubTable(hub.dataset, "x").folders

        assert Path(datasets.config.HF_DATASETS_CACHE).resolve() in folders
        assert hub.loose.parent.resolve() in folders
        assert hub.outside.parent.resolve() not in folders

    def test_rows_of_bytes_are_known_by_the_cached_files(
        self, hub: SimpleNamespace, datasets: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        found = []
        for number in (0, 1):
            rows = {"img": [{"bytes": bytes(200_000) + ENCODED[number][:60], "path": None}]}
            made = datasets.Dataset.from_dict(rows, features=datasets.Features(img=datasets.Image()))
            made = cached(made, tmp_path / f"{number}.arrow")
            monkeypatch.setattr(datasets, "load_dataset", lambda *args, made=made, **options: made)
            found.append(open_source("hf:images:train").identity())
        assert None not in found
        assert found[0] != found[1]

    def test_a_dataset_in_memory_is_never_cached(self, hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(hub.dataset), "cache_files", [])

        assert open_source("hf:images:train").fingerprint().digest is None

    def test_a_selected_dataset(self, hub: SimpleNamespace) -> None:
        table_of = HubTable(hub.dataset.select([4, 2]), "x")

        assert [cell["bytes"].as_py() for _, cell in table_of.cells("img", range(2))] == [ENCODED[4], ENCODED[2]]

    def test_a_hub_that_cannot_be_reached(self, datasets: Any) -> None:
        found = message("hf:someone/nothing-of-this-name")

        assert found.startswith(
            "'someone/nothing-of-this-name' is no folder or file on this machine, and cannot be loaded from the "
            "Hugging Face hub: "
        )


@pytest.mark.network
def test_a_dataset_of_the_hub(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    """MNIST's test images, as the library decodes them."""
    library = pytest.importorskip("datasets", reason="pip install 'genmetrics[hf]'")
    source = open_source("hf:ylecun/mnist:test")

    got = collect(source, selection=tuple(range(0, 10_000, 1000)), workers=2)

    rows = library.load_dataset("ylecun/mnist", split="test")
    for index in range(10):
        row = rows[1000 * index]
        np.testing.assert_array_equal(got.images[index], np.asarray(row["image"].convert("RGB")))
        assert got.labels[index] == row["label"]
    assert len(source) == 10_000
