from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmetrics.errors import BadImageError, SourceError
from genmetrics.sources.folder import FolderSource, PathListSource
from genmetrics.sources.names import IMAGE_EXTENSIONS
from sources.helpers import Collected, pixels, png


def names(source: FolderSource) -> list[str]:
    return [item.name for item in source.items(range(len(source)))]


def test_images_of_all_subfolders_in_the_order_of_their_paths(
    make_folder: Callable[..., Path], collect: Callable[..., Collected]
) -> None:
    root = make_folder(7)

    source = FolderSource(root)
    got = collect(source, workers=2)

    assert names(source) == [
        "000.png",
        "001.png",
        "003.png",
        "004.png",
        "006.png",
        "sub/002.png",
        "sub/005.png",
    ]
    for index, name in enumerate(names(source)):
        np.testing.assert_array_equal(got.images[index], np.asarray(Image.open(root / name)))
    assert source.notes == ()


@pytest.mark.parametrize("extension", sorted(IMAGE_EXTENSIONS))
def test_every_extension_in_any_case(extension: str, tmp_path: Path) -> None:
    for name in (f"a{extension}", f"b{extension.upper()}", f"c{extension.title()}"):
        (tmp_path / name).write_bytes(png(pixels(0)))

    assert len(FolderSource(str(tmp_path))) == 3


def test_hidden_files_are_passed_over_and_others_mentioned(make_folder: Callable[..., Path]) -> None:
    root = make_folder(3)
    for name in ("._000.png", ".hidden.png", "a.txt", "b.TXT", "meta.json", "README"):
        (root / name).write_bytes(b"x")
    for folder in ("__MACOSX", ".cache"):
        (root / folder).mkdir()
        (root / folder / "x.png").write_bytes(b"x")

    source = FolderSource(root)

    assert len(source) == 3
    assert source.notes == ("passed over 4 files that are no images: .txt (2), .json (1), no extension (1)",)


def test_one_other_file_is_mentioned_in_the_singular(make_folder: Callable[..., Path]) -> None:
    root = make_folder(3)
    (root / "a.txt").touch()

    assert FolderSource(root).notes == ("passed over 1 file that is no image: .txt (1)",)


def test_linked_folders_are_entered_but_never_in_circles(
    make_folder: Callable[..., Path], collect: Callable[..., Collected]
) -> None:
    root, other = make_folder(3), make_folder(4, "other")
    (root / "linked").symlink_to(other, target_is_directory=True)
    (root / "sub" / "up").symlink_to(root, target_is_directory=True)
    (other / "self").symlink_to(other, target_is_directory=True)
    (root / "linked.png").symlink_to(other / "000.png")

    source = FolderSource(root)

    assert names(source) == [
        *("000.png", "001.png", "linked.png"),
        *("linked/000.png", "linked/001.png", "linked/003.png", "linked/sub/002.png", "sub/002.png"),
    ]
    assert source.notes == ("passed over 2 links back to a folder around it: linked/self, sub/up",)
    assert len(collect(source).images) == 8


def test_a_broken_link_is_an_image_that_cannot_be_read(
    make_folder: Callable[..., Path], collect: Callable[..., Collected]
) -> None:
    root = make_folder(2)
    (root / "gone.png").symlink_to(root / "nowhere.png")

    with pytest.raises(BadImageError, match=r"gone\.png: cannot be opened: No such file"):
        collect(FolderSource(root))


def test_bad_images_are_named_by_their_path_in_the_folder(
    make_folder: Callable[..., Path], collect: Callable[..., Collected]
) -> None:
    root = make_folder(3)
    (root / "sub" / "empty.png").touch()
    (root / "text.png").write_bytes(b"hello")

    with pytest.raises(BadImageError) as caught:
        collect(FolderSource(root))

    assert f"folder '{root}': 2 images cannot be read:" in str(caught.value)
    assert caught.value.images == (
        ("sub/empty.png", "an empty file (0 bytes)"),
        ("text.png", "not an image that Pillow can read (it starts with b'hello')"),
    )


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        FolderSource(tmp_path)

    assert str(caught.value) == (
        f"folder '{tmp_path}' holds no image: looked in it and its subfolders for .avif .bmp .gif .jfif "
        ".jpeg .jpg .pgm .png .pnm .ppm .tif .tiff .webp; the folder is empty"
    )


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("deep/a.npy", "deep/b.npy", "c.txt", ".d.png"):
        (tmp_path / name).touch()

    with pytest.raises(SourceError, match=r"; found only \.npy \(2\), \.txt \(1\), hidden files \(1\)$"):
        FolderSource(tmp_path)


def test_many_kinds_of_other_files_are_cut_short(tmp_path: Path) -> None:
    for index in range(12):
        (tmp_path / f"a.x{index:02}").touch()

    with pytest.raises(SourceError, match=r"\.x07 \(1\) and 4 other kinds$"):
        FolderSource(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.touch()

    with pytest.raises(SourceError, match="is a file, expected a folder of images"):
        FolderSource(path)


def test_a_folder_that_cannot_be_listed_is_an_error(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(3)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"sub' cannot be listed: Permission denied; make it readable"):
        FolderSource(root)


def test_the_fingerprint_changes_with_names_sizes_and_times(make_folder: Callable[..., Path]) -> None:
    root = make_folder(3)
    first = FolderSource(root).fingerprint()
    assert (first.kind, first.description) == ("folder", str(root))
    assert FolderSource(root).fingerprint() == first

    seen = {first.digest}
    later = time.time_ns() + 10**9
    for change in (
        lambda: os.utime(root / "000.png", ns=(later, later)),
        lambda: (root / "000.png").rename(root / "0.png"),
        lambda: (root / "new.png").write_bytes(b"x"),
        (root / "0.png").unlink,
    ):
        change()
        seen.add(FolderSource(root).fingerprint().digest)
    assert len(seen) == 5


def test_the_fingerprint_of_a_copy_in_another_place(make_folder: Callable[..., Path]) -> None:
    root = make_folder(3)
    first = FolderSource(root).fingerprint().digest
    moved = root.rename(root.with_name("moved"))

    assert FolderSource(moved).fingerprint().digest == first


class TestPathListSource:
    def test_the_given_order(self, make_folder: Callable[..., Path], collect: Callable[..., Collected]) -> None:
        root = make_folder(3)
        paths = [root / "sub/002.png", str(root / "000.png")]

        got = collect(PathListSource(paths))

        np.testing.assert_array_equal(got.images[0], pixels(2, 8, 6))
        np.testing.assert_array_equal(got.images[1], pixels(0, 8, 6))

    def test_order_is_part_of_the_fingerprint(self, make_folder: Callable[..., Path]) -> None:
        root = make_folder(2)
        paths = (root / "000.png", root / "001.png")

        assert PathListSource(paths).fingerprint().digest != PathListSource(paths[::-1]).fingerprint().digest
        assert PathListSource(paths).fingerprint() == PathListSource(list(paths)).fingerprint()
        assert PathListSource(paths).description == f"{paths[0]} and 1 more"

    def test_missing_ones_are_named(self, make_folder: Callable[..., Path]) -> None:
        paths = [make_folder(1) / "000.png", *(f"none-{index}.png" for index in range(12))]

        with pytest.raises(SourceError) as caught:
            PathListSource(paths)

        first_ten = ", ".join(f"none-{index}.png" for index in range(10))
        assert str(caught.value) == f"12 of 13 paths in the list do not exist: {first_ten} and 2 more"

    def test_folders_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"1 of 1 path in the list are no files: .*; give image files"):
            PathListSource([tmp_path])

    def test_an_empty_list(self) -> None:
        with pytest.raises(SourceError, match="the list of paths is empty"):
            PathListSource([])

    def test_repetitions_are_read_again_and_mentioned(
        self, make_folder: Callable[..., Path], collect: Callable[..., Collected]
    ) -> None:
        path = make_folder(1) / "000.png"
        source = PathListSource([path, path])

        assert source.notes == ("1 path of the list occur in it before and are counted again",)
        assert len(collect(source).images) == 2


def test_a_folder_of_other_extensions(tmp_path: Path) -> None:
    """As a subclass states them."""

    class Others(FolderSource):
        extensions = frozenset({".dat"})

    (tmp_path / "a.png").write_bytes(png(pixels(0)))
    (tmp_path / "b.DAT").write_bytes(b"")
    assert Others(tmp_path).names() == ["b.DAT"]
    (tmp_path / "b.DAT").unlink()
    with pytest.raises(SourceError, match=r"in it and its subfolders for \.dat; found only \.png \(1\)"):
        Others(tmp_path)
