"""What ``DATASET`` and an image folder stand for; no network runs here."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from genmetrics.compat.vq.configs import read_config
from genmetrics.compat.vq.datasets import find_dataset, flat_folder
from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.sources import imagenet
from genmetrics.sources.base import ImageSource
from genmetrics.sources.datasets import DATASETS, list_datasets
from genmetrics.sources.folder import PathListSource

FFHQ = """\
_base_ = [
    'vanilla.py',
]

data_root = 'data/ffhq-256/'  # pylint: disable=invalid-name

_export_ = dict(
    trainer=dict(
        dataset=dict(
            name='ffhq_train',
            num_categories=1,
            access_layer=dict(data_root=data_root, task_name='train'),
        ),
    ),
    validator=dict(
        dataset=dict(
            name='ffhq_val',
            num_categories=1,
            access_layer=dict(data_root=data_root, task_name='val'),
        ),
    ),
)
"""
IMAGENET = """\
dataset_type = 'VQDatasetRegistry.ImageNetDataset'

_export_ = dict(
    validator=dict(dataset=dict(type=dataset_type, name='imagenet_val', num_categories=1000, split='val')),
)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(folder: str, *names: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (20, 30), (40 * number, 0, 90)).save(Path(folder) / name)


def config(name: str, text: str) -> Path:
    path = Path("configs/datasets") / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def instead_of_opening(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No dataset is fetched; gives what was asked for."""
    asked: list[str] = []
    images("stand-in", "0.png")

    def stand_in(text: str, exists: bool) -> ImageSource:
        asked.append(text)
        return PathListSource(["stand-in/0.png"])

    monkeypatch.setattr("genmetrics.compat.vq.datasets.open_dataset", stand_in)
    return asked


@pytest.fixture
def small_imagenet(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(imagenet, "_CLASSES", 2)
    monkeypatch.setattr(imagenet, "_IMAGES", {"train": 5, "val": 3})
    for split, sizes in (("train", (3, 2)), ("val", (2, 1))):
        for wnid, count in zip(("n01440764", "n01440765"), sizes, strict=True):
            images(f"data/imagenet/{split}/{wnid}", *(f"{number}.JPEG" for number in range(count)))
    return Path("data/imagenet")


class TestImageNet:
    def test_where_vq_has_it(self, small_imagenet: Path) -> None:
        val, train = find_dataset("imagenet", False), find_dataset("imagenet", True)
        assert [(found.name, len(found.source)) for found in (val, train)] == [
            ("imagenet_val", 3),
            ("imagenet_train", 5),
        ]
        assert val.notes == ("ImageNet is read from 'data/imagenet', as GENMETRICS_IMAGENET is not set",)

    def test_where_it_is_said_to_be(self, small_imagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        elsewhere = small_imagenet.rename("elsewhere")
        with pytest.raises(SourceError, match=r"set GENMETRICS_IMAGENET to .* or have it at 'data/imagenet'"):
            find_dataset("imagenet", False)
        monkeypatch.setenv("GENMETRICS_IMAGENET", str(elsewhere))
        found = find_dataset("imagenet:train", False)
        assert (found.name, len(found.source), found.notes) == ("imagenet_train", 5, ())

    def test_by_its_file(self, small_imagenet: Path) -> None:
        config("imagenet", IMAGENET)
        found = find_dataset("imagenet", False)
        assert (found.name, len(found.source)) == ("imagenet_val", 3)
        assert found.notes[0].startswith("'configs/datasets/imagenet.py' was read and not run: name 'imagenet_val'")
        with pytest.raises(SourceError, match=r"holds no literal '_export_\['trainer'\]"):
            find_dataset("imagenet", True)


class TestOtherNames:
    @pytest.mark.parametrize("name", [info.name for info in list_datasets() if info.name != "imagenet"])
    def test_every_dataset_has_a_split_for_validation(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = instead_of_opening(monkeypatch)
        found = [find_dataset(name, train).name for train in (False, True)]
        split = "valid" if name == "celeba" else "test"
        assert asked == [f"{name}:{split}", f"{name}:train"]
        assert found == [f"{name}_{split}", f"{name}_train"]

    def test_a_test_split_in_place_of_one_for_validation_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        instead_of_opening(monkeypatch)
        Path("cifar10").mkdir()
        assert find_dataset("cifar10", False).notes == (
            "dataset 'cifar10' has no split for validation; its split 'test' is read",
            "'cifar10' is read as the dataset of that name; give './cifar10' for the folder",
        )
        assert find_dataset("celeba", False).notes == ()

    def test_one_without_such_splits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        info = DATASETS.get("cifar10")
        monkeypatch.setitem(DATASETS._entries, "odd", type(info)("odd", "m:f", {"all": 3}, "odd"))
        with pytest.raises(UsageError, match="none of the splits val, valid, validation, test; give 'odd:all'"):
            find_dataset("odd", False)

    def test_an_unknown_split(self) -> None:
        with pytest.raises(UsageError, match="dataset 'cifar10' has no split 'val'"):
            find_dataset("cifar10:val", False)

    def test_a_split_and_train(self) -> None:
        with pytest.raises(UsageError, match="--train was given with 'svhn:extra'"):
            find_dataset("svhn:extra", True)

    def test_an_unknown_name(self) -> None:
        config("ffhq", FFHQ)
        with pytest.raises(UnknownNameError, match=r"unknown dataset 'ffhqq', and no path either .* mean 'ffhq'\?"):
            find_dataset("ffhqq", False)


class TestPaths:
    def test_a_folder_with_its_subfolders(self) -> None:
        images("real/a", "0.png", "1.jpg")
        images("real", "2.PNG")
        found = find_dataset("real", False)
        assert (found.name, len(found.source)) == ("real", 3)
        assert find_dataset("./real/", False).name == "real"

    def test_train_means_nothing_of_a_folder(self) -> None:
        images("real", "0.png")
        with pytest.raises(UsageError, match="--train was given with the path 'real', which has no splits"):
            find_dataset("real", True)


class TestConfigs:
    def test_a_folder(self) -> None:
        config("ffhq", FFHQ)
        images("data/ffhq-256/val", "0.png", "1.png", "2.jpg")
        images("data/ffhq-256/train", "0.png")
        images("data/ffhq-256/val/more", "3.png")
        val, train = find_dataset("ffhq", False), find_dataset("ffhq", True)
        assert [(one.name, len(one.source)) for one in (val, train)] == [("ffhq_val", 3), ("ffhq_train", 1)]
        assert val.notes == (
            "'configs/datasets/ffhq.py' was read and not run: name 'ffhq_val', images of 'data/ffhq-256/val'",
            "of 'data/ffhq-256/val' only image files directly in it are read, as vq does; not read: 1 folder (more/)",
        )

    def test_nothing_in_it_is_run(self) -> None:
        text = FFHQ.replace("'data/ffhq-256/'", "str(open('ran', 'w'))")
        with pytest.raises(
            SourceError, match=r"no literal 'data_root' of its dataset \(found an expression\); it is ne"
        ):
            read_config(config("ffhq", text), False)
        assert not Path("ran").exists()

    def test_what_is_not_read_is_named(self) -> None:
        text = FFHQ.replace("num_categories=1,", "num_categories=1, transforms=[], fid_path='x.pth',")
        images("data/ffhq-256/val", "0.png")
        config("ffhq", text)
        assert find_dataset("ffhq", False).notes[0].endswith("; not read: transforms, fid_path")

    @pytest.mark.parametrize(
        ("before", "after", "text"),
        [
            ("name='ffhq_val',", "type='VQDatasetRegistry.CocoDataset',", "of type 'VQDatasetRegistry.CocoDataset'"),
            ("'vanilla.py',", "", "of type None, which only vq itself reads"),
            ("name='ffhq_val',", "name=f'{data_root}',", "no literal 'name' of its dataset"),
            ("validator=", "valid=", "holds no literal"),
            ("_export_", "export(", "cannot be read as Python"),
        ],
    )
    def test_what_only_running_it_would_tell_is_an_error(self, before: str, after: str, text: str) -> None:
        with pytest.raises(SourceError, match=text) as error:
            read_config(config("ffhq", FFHQ.replace(before, after)), False)
        assert "give the folder of the images in place of the dataset's name" in str(error.value).replace(
            "Give", "give"
        )

    def test_suffix_and_subfolders(self) -> None:
        images("data/ffhq-256/val/a", "0.png")
        images("data/ffhq-256/val", "1.png", "2.jpg")
        flat = "task_name='val', suffix='png'"
        config("ffhq", FFHQ.replace("task_name='val'", flat))
        assert len(find_dataset("ffhq", False).source) == 1
        config("ffhq", FFHQ.replace("task_name='val'", "task_name='val', subfolder_action='walk'"))
        assert len(find_dataset("ffhq", False).source) == 3
        config("ffhq", FFHQ.replace("task_name='val'", f"{flat}, subfolder_action='walk'"))
        with pytest.raises(SourceError, match="files of one ending in subfolders, which is not read here"):
            find_dataset("ffhq", False)


class TestFlatFolder:
    def test_what_the_original_does_not_read_is_named(self) -> None:
        images("samples", "a.png", "b.PNG", "c.jpg", ".d.png")
        images("samples/more", "e.png")
        Path("samples/notes.txt").write_text("x")
        source, notes = flat_folder("samples", "png")
        assert (len(source), source.description) == (1, "samples")
        assert notes == (
            "of 'samples' only '*.png' directly in it are read, as vq does; not read: 2 images of other endings "
            "(b.PNG, c.jpg) and 1 folder (more/)",
        )
        assert len(flat_folder("samples", "jpg")[0]) == 1
        assert len(flat_folder("samples", None)[0]) == 3

    def test_a_folder_without_any(self) -> None:
        images("samples", "c.jpg")
        with pytest.raises(SourceError, match=r"holds no '\*.png'; it holds 1 image of other endings \(c.jpg\)"):
            flat_folder("samples", "png")
        Path("empty").mkdir()
        with pytest.raises(SourceError, match=r"folder 'empty' holds no .*; it holds no image at all"):
            flat_folder("empty", "png")

    def test_no_folder(self) -> None:
        images("samples", "c.png")
        with pytest.raises(SourceError, match=r"'sample' does not exist .* did you mean 'samples'"):
            flat_folder("sample", "png")
        with pytest.raises(SourceError, match="is a file, expected a folder of image files"):
            flat_folder("samples/c.png", "png")
