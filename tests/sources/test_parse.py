from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.sources import SOURCES, SourceInfo, register_source
from genmetrics.sources.archive import ZipSource
from genmetrics.sources.arrays import ArraySource, NpySource
from genmetrics.sources.folder import FolderSource, PathListSource
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.npz import NpzSource
from genmetrics.sources.parse import _open, open_source
from genmetrics.sources.tar import TarSource
from genmetrics.types import Fingerprint
from sources.helpers import pixels, png
from sources.test_archive import MEMBERS, TAR_SUFFIXES, make_tar, make_zip

IMAGES = np.stack([pixels(index) for index in range(3)])


@pytest.fixture
def files(tmp_path: Path, make_folder: Callable[..., Path]) -> dict[str, Path]:
    """One of each kind; names ending in ``?`` have an extension that says nothing."""
    found = {"folder": make_folder(3)}
    for suffix, mode in TAR_SUFFIXES.items():
        found[f"tar{suffix}"] = make_tar(tmp_path / f"t{suffix}", MEMBERS, mode)
        found[f"tar{suffix}?"] = make_tar(tmp_path / f"t{suffix}.bin", MEMBERS, mode)
    for name, path in (("zip", "z.zip"), ("zip?", "z.bin")):
        found[name] = make_zip(tmp_path / path, MEMBERS)
    np.savez(tmp_path / "a.npz", IMAGES)
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.npz").read_bytes())
    np.save(tmp_path / "b.npy", IMAGES)
    (tmp_path / "b.bin").write_bytes((tmp_path / "b.npy").read_bytes())
    return found | {
        "npz": tmp_path / "a.npz",
        "npz?": tmp_path / "a.bin",
        "npy": tmp_path / "b.npy",
        "npy?": tmp_path / "b.bin",
    }


CLASSES = {"folder": FolderSource, "tar": TarSource, "zip": ZipSource, "npz": NpzSource, "npy": NpySource}


def test_a_path_is_recognised_by_what_it_is(files: dict[str, Path]) -> None:
    assert len(files) == 17
    for name, path in files.items():
        kind = name.rstrip("?").split(".")[0]
        assert type(open_source(str(path))) is CLASSES[kind], name
        assert type(open_source(path)) is CLASSES[kind], name
        assert type(open_source(f"{kind}:{path}")) is CLASSES[kind], name
        assert type(open_source(path, kind=kind)) is CLASSES[kind], name
        assert type(open_source(str(path), kind=kind)) is CLASSES[kind], name


def test_python_objects(files: dict[str, Path]) -> None:
    assert type(open_source(IMAGES)) is ArraySource
    assert type(open_source(IMAGES, kind="array")) is ArraySource
    assert type(open_source(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))) is ArraySource
    assert type(open_source([files["folder"] / "000.png", str(files["folder"] / "001.png")])) is PathListSource
    source = FolderSource(files["folder"])
    assert open_source(source) is source


def test_the_home_folder_is_expanded(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert len(open_source("~/images")) == 3
    assert len(open_source("folder:~/images")) == 3


def error(source: object, **options: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_missing_path_with_near_names(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "Image"

    assert error(str(path)) == (
        f"'{path}' does not exist (as an absolute path: {path}); did you mean '{tmp_path}/images'?"
    )
    assert "did you mean" in error(f"folder:{path}")


def test_near_names_are_given_as_the_path_was(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert error("imges") == f"'imges' does not exist (as an absolute path: {tmp_path}/imges); did you mean 'images'?"


def test_a_missing_path_far_from_any_name(tmp_path: Path) -> None:
    assert error(tmp_path / "x") == (
        f"'{tmp_path}/x' does not exist (as an absolute path: {tmp_path}/x); its folder exists but holds no such name"
    )


def test_a_missing_path_in_a_missing_folder(tmp_path: Path) -> None:
    assert error(tmp_path / "x" / "y" / "z").endswith(f"; the closest folder that exists is {tmp_path}")


def test_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    assert error(tmp_path / "link") == f"'{tmp_path}/link' is a link to {tmp_path}/gone, which does not exist"


def test_an_unknown_prefix() -> None:
    assert error("zp:images") == (
        "'zp:images': unknown source kind or dataset 'zp', and no such file exists; did you mean 'zip'?"
    )
    known = error("foo:bar").partition("; known: ")[2].split(", ")
    assert {
        "folder",
        "npy",
        "npz",
        "onnx",
        "python",
        "tar",
        "torchscript",
        "zip",
        "cifar10",
        "hf",
        "wds",
        "parquet",
        "arrow",
    } <= set(known)
    assert not {"array", "dataset", "files", "generator", "iterable", "loader"} & set(known)


def test_an_address() -> None:
    assert error("https://x.org/a.zip") == (
        "'https://x.org/a.zip': from an address expected a folder of images, or .tar, .parquet or .arrow files; "
        "download others first"
    )


def test_the_drive_of_a_windows_path_is_no_prefix() -> None:
    assert "does not exist" in error("C:\\images")


def test_an_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match="unknown source kind 'zpi'; did you mean 'zip'"):
        open_source("x", kind="zpi")


@pytest.mark.parametrize("kind", ["files", "array", "dataset", "loader", "iterable", "generator"])
def test_kinds_that_take_no_text(kind: str) -> None:
    with pytest.raises(UsageError, match=rf"'{kind}' takes .* not the text 'x'; give it from Python"):
        open_source(f"{kind}:x")


def test_a_kind_that_does_not_go_with_the_object(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"kind='zip' was given with a ndarray; expected 'array' or none"):
        open_source(IMAGES, kind="zip")
    with pytest.raises(UsageError, match=r"kind='zip' was given with an open ImageSource"):
        open_source(FolderSource(files["folder"]), kind="zip")


def test_a_path_that_looks_like_a_prefix(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files["folder"].rename("zip:images")
    make_folder_again = Path("other:images")
    Path("zip:images").rename(make_folder_again)
    assert len(open_source("other:images")) == 3  # no kind of that name: a path

    make_folder_again.rename("zip:images")
    assert error("zip:images") == (
        "'zip:images' is both a path that exists and the path 'images' as a zip; give './zip:images' for the first "
        "or 'zip:./images' for the second"
    )
    assert len(open_source("./zip:images")) == 3
    assert len(open_source(Path("zip:images"))) == 3


def test_nothing() -> None:
    assert error("") == "the source is an empty text, expected a path such as 'samples/'"
    assert error("zip:") == "'zip:' has nothing behind it, expected a path such as 'zip:samples'"


@pytest.mark.parametrize("name", ["one.png", "one"])
def test_one_image(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(png(pixels(0)))

    assert error(path) == (
        f"'{path}' is one image, expected a set of images; give its folder, '{tmp_path}', or from Python a list of "
        "paths"
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".pkl"])
def test_statistics_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(pickle.dumps({"mu": 0}))

    assert error(path).startswith(f"'{path}' is a {suffix} file, which holds ")


def test_statistics_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=np.zeros(2), sigma=np.eye(2))

    assert "is a statistics file" in error(tmp_path / "x.npz")


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n")

    assert error(path) == (
        f"'{path}' is no source of images: it is neither a folder nor a zip, tar, npz, npy, parquet or arrow file "
        "(it starts with b'a,b,c\\n1,')"
    )
    path.write_bytes(b"")
    assert error(path) == f"'{path}' is an empty file (0 bytes); copy or download it again"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.npz", "x.npy", "x.tgz"])
def test_a_damaged_file_is_named_by_its_extension(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"garbage " * 300)
    kind = name.split(".")[1].replace("tgz", "tar")

    assert f"/{name}' is not a" in error(tmp_path / name)
    assert kind in error(tmp_path / name).split("that can be read")[0].removeprefix(f"'{tmp_path}")


def test_other_types() -> None:
    """By the function that is not annotated, since the types of the public one are enforced in tests."""
    with pytest.raises(UsageError, match=r"a int cannot be a source; expected a path as a string or pathlib.Path"):
        _open(3, None)
    for wrong, named in (([3], "int"), (["a.png", IMAGES[0]], "ndarray")):
        with pytest.raises(UsageError, match=rf"a list with {named} in it cannot be a source; expected a path"):
            _open(wrong, None)
    with pytest.raises(UsageError, match=r"a dict cannot be a source; expected a path"):
        _open({"images": IMAGES}, None)


class ThirdPartySource(ItemSource):
    kind = "third"

    def __init__(self, text: str) -> None:
        self.description = text

    def __len__(self) -> int:
        return 0

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.kind, self.description, "0")

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        return iter(())


def test_kinds_of_third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SOURCES, "_entries", dict(SOURCES._entries))
    register_source(SourceInfo("third", "sources.test_parse:ThirdPartySource", "for this test"))
    register_source(SourceInfo("wrong", "pathlib:PurePath", "makes something else"))

    assert open_source("third:bucket:a/b c").description == "bucket:a/b c"
    with pytest.raises(UsageError, match=r"source target 'pathlib:PurePath' made a .*, expected an ImageSource"):
        open_source("wrong:x")
