"""Classes of images: of their containers, by folders, by files; and what becomes of labels that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.base import ImageSource, SeededSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.labels import LabelledSource, label_source
from genmetrics.sources.loader import ItemSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.streams import IterableSource, LoaderSource
from genmetrics.sources.torch_dataset import DatasetSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png
from sources.test_archive import make_tar, make_zip

NAMES = ("bird/0.png", "bird/deep/1.png", "cat/0.png", "cat/2.png", "dog/9.png")
MEMBERS = {name: png(pixels(index)) for index, name in enumerate(NAMES)}


@pytest.fixture
def sets(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """The same images in a folder, a zip, a tar and a compressed tar."""

    def make(members: dict[str, bytes] = MEMBERS) -> dict[str, Path]:
        for name, data in members.items():
            path = tmp_path / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return {
            "folder": tmp_path / "folder",
            "zip": make_zip(tmp_path / "x.zip", members),
            "tar": make_tar(tmp_path / "x.tar", members),
            "tar.gz": make_tar(tmp_path / "x.tar.gz", members, "w:gz"),
        }

    return make


def labels(source: ImageSource, collect: Callable[..., Collected], **options: object) -> list[int]:
    found = collect(source, **options).labels
    ordered = [found[index] for index in range(len(found))]
    if isinstance(source, LabelledSource) and "selection" not in options and "shard" not in options:
        assert (source.known_labels() or []) == ordered
    return ordered


def test_labels_of_containers_are_known_before_a_pass(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    pa = pytest.importorskip("pyarrow", reason="pip install 'genmetrics[hf]'")
    pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'genmetrics[hf]'")
    expected = [2, 0, 1, 0, 2]
    listed = json.dumps({"labels": [[name, label] for name, label in zip(NAMES, expected, strict=True)]}).encode()
    members = {**MEMBERS, "dataset.json": listed}
    for name, data in members.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    sides = {f"{n}.cls": str(label).encode() for n, label in enumerate(expected)}
    np.savez(tmp_path / "x.npz", arr_0=np.stack([pixels(0)] * 5), arr_1=np.array(expected))
    table = pa.table({"image": list(MEMBERS.values()), "label": expected})
    pq.write_table(table, tmp_path / "x.parquet")
    given = [
        tmp_path / "folder",
        make_zip(tmp_path / "x.zip", members),
        make_tar(tmp_path / "x.tar", {f"{n}.png": data for n, data in enumerate(MEMBERS.values())} | sides),
        tmp_path / "x.npz",
        tmp_path / "x.parquet",
    ]
    for path in given:
        source = open_source(path)
        known = source.known_labels()
        assert known is not None and list(known) == labels(source, collect) == expected, path
        assert open_source(path, labels="none").known_labels() is None
    assert open_source(np.stack([pixels(0)] * 5)).known_labels() is None


def message(source: object, kind: type[Exception] = SourceError, **options: object) -> str:
    with pytest.raises(kind) as caught:
        open_source(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


class TestFolders:
    def test_sorted_names_are_the_classes(
        self, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        for kind, path in sets().items():
            source = open_source(path, labels="folders")
            assert labels(source, collect, workers=2) == [0, 0, 1, 1, 2], kind
            assert source.class_names == ("bird", "cat", "dog")
            assert (source.kind, source.description) == (kind.removesuffix(".gz"), str(path))
            assert labels(source, collect, selection=(1, 4)) == [0, 2]
            assert collect(source, Shard(1, 2)).labels == {2: 1, 3: 1, 4: 2}

    def test_pixels_are_those_of_the_source(
        self, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        for path in sets().values():
            got = collect(open_source(path, labels="folders"))
            for index in range(5):
                np.testing.assert_array_equal(got.images[index], pixels(index))

    def test_of_shards_the_archives_are_no_folders(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        make_tar(tmp_path / "0.tar", dict(list(MEMBERS.items())[3:]))
        make_tar(tmp_path / "1.tar", dict(list(MEMBERS.items())[:3]))

        source = open_source(f"{tmp_path}/{{0,1}}.tar", labels="folders")

        assert labels(source, collect) == [1, 2, 0, 0, 1]
        assert source.class_names == ("bird", "cat", "dog")

    def test_images_in_no_folder(self, sets: Callable[..., dict[str, Path]]) -> None:
        members = MEMBERS | {f"{index:02}.png": png(pixels(0)) for index in range(12)}
        for kind, path in sets(members).items():
            ten = ", ".join(f"{index:02}.png" for index in range(10))
            assert message(path, labels="folders") == (
                f"12 of 17 images in {kind.removesuffix('.gz')} '{path}' lie in no folder that could be their class: "
                f"{ten} and 2 more; move them into one, or give labels in a file"
            )

    def test_names_that_lead_outside_are_no_classes(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "x.tar", {"/a/x.png": png(pixels(0)), "../b/y.png": png(pixels(0))})

        assert message(path, labels="folders").startswith(f"2 of 2 images in tar '{path}' lie in no folder")

    @pytest.mark.parametrize("kind", ["array", "files"])
    def test_sources_without_folders(self, kind: str, sets: Callable[..., dict[str, Path]]) -> None:
        path = sets()["folder"] / NAMES[0]
        given = np.stack([pixels(0)]) if kind == "array" else [path]

        description = path if kind == "files" else "array 1x8x6x3 uint8"
        assert message(given, UsageError, labels="folders") == (
            f"labels='folders' was given with {kind} '{description}', whose images "
            "lie in no folders; give the path of a .json, .csv, .tsv, .npy file of labels"
        )


class TestAuto:
    def test_folders_are_no_classes(
        self, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        for path in sets().values():
            assert labels(open_source(path), collect) == []

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    def test_dataset_json(
        self, kind: str, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        text = json.dumps({"labels": [[name, 7 - index] for index, name in enumerate(NAMES)]}).encode()
        path = sets(MEMBERS | {"dataset.json": text, "cat/other.json": b"x"})[kind]

        source = open_source(path)

        assert labels(source, collect, workers=2) == [7, 6, 5, 4, 3]
        assert source.class_names == ()
        assert source.notes == ("passed over 1 file that is no image: .json (1)",)  # cat/other.json
        assert labels(open_source(path, labels="none"), collect) == []
        assert labels(open_source(path, labels="folders"), collect) == [0, 0, 1, 1, 2]

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    def test_labels_in_dataset_json_are_part_of_the_fingerprint(
        self, kind: str, sets: Callable[..., dict[str, Path]]
    ) -> None:
        prints = []
        for label in (1, 2):
            text = json.dumps({"labels": [[name, label] for name in NAMES]}).encode()
            source = open_source(sets(MEMBERS | {"dataset.json": text})[kind])
            prints.append((source.fingerprint().digest, source.identity()))

        assert prints[0][0] != prints[1][0]
        assert prints[0][1] != prints[1][1]

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    def test_class_names_in_dataset_json(
        self, kind: str, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        text = json.dumps({"labels": [[name, name[:3]] for name in NAMES]}).encode()
        source = open_source(sets(MEMBERS | {"dataset.json": text})[kind])

        assert (labels(source, collect), source.class_names) == ([0, 0, 1, 1, 2], ("bir", "cat", "dog"))

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    @pytest.mark.parametrize(
        "text",
        [
            b'{"labels": null}',
            b'{"labels": []}',
            b"not json",
            b"[1]",
            b'{"images": 3}',
            b'{"labels": [["a", [0.5, 1]]]}',
            b'{"labels": [["a", 0.5]]}',
            b'{"labels": [["a", null]]}',
        ],
    )
    def test_dataset_json_without_classes_is_mentioned_as_no_image(
        self, kind: str, text: bytes, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        source = open_source(sets(MEMBERS | {"dataset.json": text})[kind])

        assert labels(source, collect) == []
        assert source.notes == ("passed over 1 file that is no image: .json (1)",)

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    def test_dataset_json_that_does_not_fit(
        self, kind: str, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        text = json.dumps({"labels": [*([name, 1] for name in NAMES[1:]), ["gone.png", 2]]}).encode()
        path = sets(MEMBERS | {"dataset.json": text})[kind]

        assert message(path) == (
            f"{kind} '{path}': labels in 'dataset.json': 1 of 5 images have no label: bird/0.png; 1 of 5 labels are "
            'of no image: gone.png. To measure the images without labels give `--labels none` (Python: labels="none"), '
            "or a file of labels"
        )
        assert labels(open_source(path, labels="none"), collect) == []
        assert labels(open_source(path, labels="folders"), collect) == [0, 0, 1, 1, 2]

    @pytest.mark.parametrize("kind", ["folder", "zip"])
    @pytest.mark.parametrize("absent", [None, [0.5], 0.5])
    def test_dataset_json_with_classes_of_some_images(
        self, kind: str, absent: object, sets: Callable[..., dict[str, Path]]
    ) -> None:
        text = json.dumps({"labels": [[NAMES[0], absent], *([name, 1] for name in NAMES[1:])]}).encode()
        path = sets(MEMBERS | {"dataset.json": text})[kind]

        assert message(path).startswith(
            f"{kind} '{path}': labels in 'dataset.json': the label of '{NAMES[0]}' is {absent!r}, expected an integer"
        )

    def test_a_tar_with_some_labels(
        self, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        path = sets(MEMBERS | {"cat/0.cls": b"1"})["tar"]

        assert message(path).startswith(
            f"tar '{path}': 4 of 5 images have no .cls file with a label beside them: bird/0.png"
        )
        assert labels(open_source(path, labels="none"), collect) == []

    def test_other_sources_are_returned_as_they_are(self, sets: Callable[..., dict[str, Path]]) -> None:
        source = open_source(sets()["folder"])

        assert open_source(source) is source


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


NUMBERS = [3, 1, 4, 1, 5]
WORDS = ["b", "a", "ü, c", "a", "b"]
FILES = {
    "pairs.json": lambda path, values: write(path, json.dumps({"labels": list(zip(NAMES, values, strict=True))[::-1]})),
    "names.json": lambda path, values: write(path, json.dumps(dict(zip(NAMES, values, strict=True)))),
    "plain.csv": lambda path, values: write(
        path, "\n".join(f'{name},"{value}"' for name, value in zip(NAMES, values, strict=True))
    ),
    "header.csv": lambda path, values: write(
        path, "\ufeffname,label\r\n" + "".join(f'./{n},"{v}"\r\n\r\n' for n, v in zip(NAMES, values, strict=True))
    ),
    "plain.tsv": lambda path, values: write(
        path, "file\tclass\n" + "\n".join(f"{name}\t{value}" for name, value in zip(NAMES, values, strict=True))
    ),
}


class TestFiles:
    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz"])
    def test_numbers_and_names(
        self,
        name: str,
        kind: str,
        tmp_path: Path,
        sets: Callable[..., dict[str, Path]],
        collect: Callable[..., Collected],
    ) -> None:
        path = sets()[kind]

        file = FILES[name](tmp_path / name, NUMBERS)
        source = open_source(path, labels=file)
        assert (labels(source, collect), source.class_names) == (NUMBERS, ())
        file = FILES[name](tmp_path / name, WORDS)
        source = open_source(path, labels=str(file))
        assert (labels(source, collect), source.class_names) == ([1, 0, 2, 0, 1], ("a", "b", "ü, c"))

    def test_an_array_in_the_order_of_the_source(
        self, tmp_path: Path, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        np.save(tmp_path / "l.npy", np.array(NUMBERS, dtype=np.uint8))

        for given in (*sets().values(), np.stack([pixels(0)] * 5), torch.zeros(5, 3, 8, 8, dtype=torch.uint8)):
            assert labels(open_source(given, labels=tmp_path / "l.npy"), collect) == NUMBERS

    def test_shards_by_archive_and_name_or_by_name_alone(
        self, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        for shard in range(2):
            make_tar(tmp_path / f"{shard}.tar", {f"{shard}{index}.png": png(pixels(index)) for index in range(2)})
        pattern = f"{tmp_path}/?.tar"
        alone = write(tmp_path / "a.csv", "00.png,1\n01.png,2\n10.png,3\n11.png,4\n")
        whole = write(tmp_path / "b.csv", "0.tar/00.png,1\n0.tar/01.png,2\n1.tar/10.png,3\n1.tar/11.png,4\n")

        assert labels(open_source(pattern, labels=alone), collect) == [1, 2, 3, 4]
        assert labels(open_source(pattern, labels=whole), collect) == [1, 2, 3, 4]

    def test_a_list_of_files_by_the_paths_as_given(
        self, tmp_path: Path, sets: Callable[..., dict[str, Path]], collect: Callable[..., Collected]
    ) -> None:
        files = [sets()["folder"] / name for name in NAMES[:2]]
        file = write(tmp_path / "l.json", json.dumps({str(path): index for index, path in enumerate(files)}))

        assert labels(open_source(files[::-1], labels=file), collect) == [1, 0]

    def test_labels_missing_and_too_many(self, tmp_path: Path, sets: Callable[..., dict[str, Path]]) -> None:
        path = sets({f"{index:02}.png": png(pixels(0)) for index in range(13)})["folder"]
        file = write(tmp_path / "l.csv", "".join(f"{index:02}.png,1\n" for index in (0, *range(20, 31))))

        ten, others = (", ".join(f"{index:02}.png" for index in range(first, first + 10)) for first in (1, 20))
        assert message(path, labels=file) == (
            f"labels in '{file}': 12 of 13 images have no label: {ten} and 2 more; 11 of 12 labels are of no image: "
            f"{others} and 1 more"
        )

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("l.csv", "bird/0.png\n", "line 1 has 1 column, expected 2, the name and the label"),
            ("l.csv", "name,label\nx.png,1,2\n", "line 2 has 3 columns, expected 2, the name and the label"),
            ("l.csv", "a.png,1\na.png,1\n", "'a.png' has two labels, 1 and 1; give one"),
            ("l.csv", "a.png,1\nb.png,cat\n", "labels are names such as 'cat' and numbers such as 1; give one or"),
            ("l.json", '{"a": 1, "b": "cat"}', "5 of 5 images have no label"),
            ("l.json", "[]", 'expected {"labels": [["name.png", 3], …]} or {"name.png": 3, …}'),
            ("l.json", '{"labels": null}', 'expected {"labels": [["name.png", 3], …]} or {"name.png": 3, …}'),
            ("l.json", '{"labels": [["a"]]}', "['a'] is no pair of a name and a label"),
            ("l.json", '{"a": 1.5}', "the label of 'a' is 1.5, expected an integer or the name of a class"),
            ("l.json", '{"a": true}', "the label of 'a' is True, expected an integer or the name of a class"),
            ("l.json", f'{{"a": {2**63}}}', f"the label of 'a' is {2**63}, which does not fit 64 bits"),
            ("l.json", "{", "Expecting property name"),
            ("l.csv", "first.png,1\nbird/0.png,2\n", "1 of 2 labels are of no image: first.png"),
        ],
    )
    def test_files_that_cannot_be_meant(
        self, name: str, text: str, expected: str, tmp_path: Path, sets: Callable[..., dict[str, Path]]
    ) -> None:
        file = write(tmp_path / name, text)

        found = message(sets()["folder"], labels=file)
        assert found.startswith(f"labels in '{file}': ")
        assert expected in found

    def test_names_and_numbers_in_json(self, tmp_path: Path, sets: Callable[..., dict[str, Path]]) -> None:
        file = write(tmp_path / "l.json", json.dumps(dict(zip(NAMES, [1, 2, "x", 4, 5], strict=True))))

        assert message(sets()["folder"], labels=file).endswith(
            "labels are names such as 'x' and numbers such as 1; give one or the other"
        )

    @pytest.mark.parametrize("values", [np.zeros(4, int), np.zeros((5, 1), int), np.zeros(5)])
    def test_arrays_that_are_not_one_integer_each(
        self, values: np.ndarray, tmp_path: Path, sets: Callable[..., dict[str, Path]]
    ) -> None:
        np.save(tmp_path / "l.npy", values)

        assert message(sets()["tar"], labels=tmp_path / "l.npy") == (
            f"labels in '{tmp_path}/l.npy': {values.dtype} of shape {values.shape}, expected one integer for each "
            "of the 5 images, in their order"
        )

    def test_a_pickled_array_is_never_loaded(self, tmp_path: Path, sets: Callable[..., dict[str, Path]]) -> None:
        np.save(tmp_path / "l.npy", np.array([print], dtype=object), allow_pickle=True)

        assert "no .npy file that can be read" in message(sets()["tar"], labels=tmp_path / "l.npy")

    def test_a_missing_file(self, tmp_path: Path, sets: Callable[..., dict[str, Path]]) -> None:
        assert message(sets()["tar"], labels=tmp_path / "l.csv").startswith(f"'{tmp_path}/l.csv' does not exist")

    @pytest.mark.parametrize(
        ("given", "hint"), [("folder", "did you mean 'folders'? "), ("x.txt", ""), ("", ""), ("non", "did you mean")]
    )
    def test_other_words(self, given: str, hint: str, sets: Callable[..., dict[str, Path]]) -> None:
        found = message(sets()["tar"], UsageError, labels=given)
        assert found.startswith(f"labels is '{given}'; {hint}")
        assert found.endswith("expected auto, folders, none, or the path of a .json, .csv, .tsv, .npy file")


class TestFingerprint:
    def test_labels_are_part_of_it(self, tmp_path: Path, sets: Callable[..., dict[str, Path]]) -> None:
        path = sets()["zip"]
        np.save(tmp_path / "a.npy", np.array(NUMBERS))
        np.save(tmp_path / "b.npy", np.array(NUMBERS[::-1]))

        ways = ("auto", "none", "folders", tmp_path / "a.npy", tmp_path / "b.npy")
        sources = [open_source(path, labels=way) for way in ways]
        prints = [source.fingerprint() for source in sources]

        assert len({found.digest for found in prints}) == len({source.identity() for source in sources}) == 5
        assert open_source(path, labels=tmp_path / "a.npy").fingerprint() == prints[3]
        assert {(found.kind, found.description) for found in prints} == {("zip", str(path))}

    def test_what_the_images_do_not_say(self, sets: Callable[..., dict[str, Path]]) -> None:
        inner = open_source(sets()["zip"])
        assert isinstance(inner, ItemSource)
        known = inner.fingerprint()
        inner.fingerprint = lambda: type(known)("zip", "x", None)  # type: ignore[method-assign]

        assert LabelledSource(inner, None).fingerprint() == type(known)("zip", "x", None)


class Drawn(SeededSource):
    kind = "drawn"
    description = "noise"

    def __len__(self) -> int:
        return 1

    def fingerprint(self) -> object:
        raise NotImplementedError

    def batches(self, shard: object, spec: object) -> object:
        raise NotImplementedError

    def seeded(self, seed: int) -> ImageSource:
        return self


class Untouchable(Dataset):  # type: ignore[type-arg]
    """Of which no item may be read."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> object:
        raise AssertionError("read")


def _unread() -> Iterator[object]:
    raise AssertionError("read")
    yield


def _ungenerated(z: torch.Tensor) -> torch.Tensor:
    raise AssertionError("generated")


UNREAD: dict[str, Callable[[], ImageSource]] = {
    "dataset": lambda: DatasetSource(Untouchable()),
    "loader": lambda: LoaderSource(DataLoader(Untouchable(), batch_size=2)),
    "iterable": lambda: IterableSource(_unread(), num_samples=3),
    "generator": lambda: GeneratorSource(_ungenerated, z_size=2, num_samples=3, probe=False),
}


class TestWithoutReading:
    @pytest.mark.parametrize("form", UNREAD)
    def test_labels_of_a_file_need_no_image(self, form: str, tmp_path: Path) -> None:
        np.save(tmp_path / "l.npy", np.arange(3))
        source = UNREAD[form]()
        assert isinstance(source, ItemSource)
        (tmp_path / "l.csv").write_text("".join(f"{name},{index}\n" for index, name in enumerate(source.names())))

        for name in ("l.npy", "l.csv"):
            assert isinstance(open_source(source, labels=tmp_path / name), LabelledSource)
        np.save(tmp_path / "l.npy", np.arange(4))
        with pytest.raises(SourceError, match="expected one integer for each of the 3 images"):
            open_source(source, labels=tmp_path / "l.npy")

    def test_an_array_of_labels_needs_only_the_number(self, tmp_path: Path) -> None:
        np.save(tmp_path / "l.npy", np.array([5]))
        assert isinstance(label_source(Drawn(), tmp_path / "l.npy"), LabelledSource)

    def test_an_iterator_is_not_used_up(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        np.save(tmp_path / "l.npy", np.array([4, 2]))
        images = (torch.from_numpy(pixels(index)).permute(2, 0, 1) for index in range(2))

        source = open_source(IterableSource(images, num_samples=2), labels=tmp_path / "l.npy")
        assert labels(source, collect) == [4, 2]

    @pytest.mark.parametrize("suffix", [".npy", ".csv"])
    def test_a_stream_of_unknown_length(self, suffix: str, tmp_path: Path) -> None:
        file = tmp_path / f"l{suffix}"
        np.save(tmp_path / "l.npy", np.array([4, 2]))
        (tmp_path / "l.csv").write_text("a,1\n")

        assert message(_unread(), UsageError, labels=file) == (
            f"labels='{file}' was given with iterable 'generator', which does not say how many images it gives, so "
            "that no file can hold a label for each; let it give (image, label) pairs"
        )


class TestDrawn:
    """A run gives its seed to a source that is drawn, also under labels."""

    @pytest.mark.parametrize("way", ["none", "l.npy"])
    @pytest.mark.parametrize("form", ["generator", "python"])
    def test_it_is_seeded(
        self, form: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collect: Callable[..., Collected]
    ) -> None:
        np.save(tmp_path / "l.npy", np.array([4, 2]))
        (tmp_path / "made_for_labels.py").write_text("import torch\nmake = torch.nn.Sigmoid\n")
        monkeypatch.syspath_prepend(tmp_path)
        options = "z_size=3x4x4&num_samples=2&value_range=0,1"
        given: object = f"python:made_for_labels:make?{options}"
        if form == "generator":
            given = GeneratorSource(torch.sigmoid, z_size=(3, 4, 4), num_samples=2, value_range=(0, 1))

        source = open_source(given, labels=way if way == "none" else tmp_path / way)  # type: ignore[arg-type]
        assert isinstance(source, SeededSource)
        drawn = [source.seeded(seed) for seed in (1, 1, 2)]

        images = [collect(one).images[0] for one in drawn]
        assert (images[0] == images[1]).all()
        assert (images[0] != images[2]).any()
        assert labels(drawn[0], collect) == ([] if way == "none" else [4, 2])
        assert isinstance(drawn[0], LabelledSource)

    def test_others_are_not(self, sets: Callable[..., dict[str, Path]]) -> None:
        assert not isinstance(open_source(sets()["zip"], labels="none"), SeededSource)


def test_names_that_are_known_without_reading(collect: Callable[..., Collected]) -> None:
    """``names()`` must not drift from ``items()``."""
    images = [torch.from_numpy(pixels(index)).permute(2, 0, 1) for index in range(3)]
    for source in (
        DatasetSource(images),
        LoaderSource(DataLoader(images, batch_size=2)),  # type: ignore[arg-type]
        IterableSource(images),
        GeneratorSource(torch.sigmoid, z_size=(3, 4, 4), num_samples=3, value_range=(0, 1), seed=0, batch_size=2),
    ):
        assert list(source.names()) == ItemSource.names(source)


def test_sources_of_whole_batches_bring_their_own() -> None:
    source = Drawn()

    assert label_source(source, "auto") is source
    with pytest.raises(UsageError, match=r"labels='folders' was given with a drawn \('noise'\), whose images bring"):
        label_source(source, "folders")


def test_the_names_that_labels_are_found_by_are_those_of_the_items(sets: Callable[..., dict[str, Path]]) -> None:
    """``names()`` that sources override must not drift from ``items()``."""
    paths = sets()
    shutil.copy(paths["tar"], paths["tar"].with_name("y.tar"))
    for given in (*paths.values(), str(paths["tar"].with_name("?.tar")), [paths["folder"] / NAMES[0]]):
        source = open_source(given)
        assert isinstance(source, ItemSource)
        assert list(source.names()) == ItemSource.names(source)
        assert len(source.paths() or source.names()) == len(source)
