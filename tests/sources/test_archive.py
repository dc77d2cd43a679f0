from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genmetrics.errors import BadImageError, SourceError
from genmetrics.sources import members as members_module
from genmetrics.sources.archive import ZipSource
from genmetrics.sources.folder import FolderSource
from genmetrics.sources.tar import TarSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png

IMAGES = {
    name: pixels(seed, 8 + seed % 3, 6) for seed, name in enumerate(("b.png", "a/z.png", "a/b.PNG", "c.png", "aa.png"))
}
MEMBERS = {name: png(image) for name, image in IMAGES.items()}
NOT_IMAGES = {"notes.txt": b"x", "__MACOSX/b.png": b"x", "a/._z.png": b"x", ".hidden/x.png": b"x"}
TAR_SUFFIXES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a/", b"")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=format) as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make(suffix: str, folder: Path, members: dict[str, bytes], name: str = "x") -> Path:
    if suffix == ".zip":
        return make_zip(folder / f"{name}.zip", members)
    return make_tar(folder / f"{name}{suffix}", members, TAR_SUFFIXES[suffix])


def open_archive(path: Path) -> ZipSource | TarSource:
    return ZipSource(path) if path.suffix == ".zip" else TarSource(path)


@pytest.mark.parametrize("suffix", [".zip", *TAR_SUFFIXES])
class TestBoth:
    @pytest.mark.parametrize("workers", [0, 3])
    @pytest.mark.parametrize("shards", [1, 2, 7])
    def test_images_in_the_order_of_their_names(
        self, suffix: str, workers: int, shards: int, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        source = open_archive(make(suffix, tmp_path, NOT_IMAGES | MEMBERS))

        images: dict[int, np.ndarray] = {}
        for shard in range(shards):
            images |= collect(source, Shard(shard, shards), workers=workers, batch_size=2).images

        assert sorted(images) == list(range(5))
        for index, name in enumerate(sorted(IMAGES)):
            np.testing.assert_array_equal(images[index], IMAGES[name])
        assert source.notes == ("passed over 1 file that is no image: .txt (1)",)

    def test_the_order_is_that_of_the_unpacked_folder(self, suffix: str, tmp_path: Path) -> None:
        path = make(suffix, tmp_path, {f"./{name}": data for name, data in MEMBERS.items()})
        for name, data in MEMBERS.items():
            (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / name).write_bytes(data)

        in_folder = [item.name for item in FolderSource(tmp_path / "out").items(range(5))]
        in_archive = sorted((item.index, item.name) for item in open_archive(path).items(range(5)))
        assert [name for _, name in in_archive] == in_folder

    def test_selection(self, suffix: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        got = collect(open_archive(make(suffix, tmp_path, MEMBERS)), selection=(1, 4), workers=1)

        assert sorted(got.images) == [0, 1]
        np.testing.assert_array_equal(got.images[1], IMAGES[sorted(IMAGES)[4]])

    def test_the_last_of_equal_names_counts(
        self, suffix: str, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        path = make(suffix, tmp_path, {"a.png": png(pixels(1)), "./a.png": png(pixels(2))})

        source = open_archive(path)

        np.testing.assert_array_equal(collect(source).images[0], pixels(2))
        assert source.notes == ("1 image replaced by a later one of the same name, as unpacking would do",)

    def test_bad_images_are_named(self, suffix: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        source = open_archive(make(suffix, tmp_path, MEMBERS | {"bad.png": b"text", "empty.png": b""}))

        got = collect(source, on_bad_image="skip")
        assert sorted(got.skipped) == [
            ("bad.png", "not an image that Pillow can read (it starts with b'text')"),
            ("empty.png", "an empty file (0 bytes)"),
        ]
        with pytest.raises(BadImageError, match=r"2 images cannot be read"):
            collect(source)

    def test_no_image(self, suffix: str, tmp_path: Path) -> None:
        kind = "zip" if suffix == ".zip" else "tar"
        with pytest.raises(SourceError) as caught:
            open_archive(make(suffix, tmp_path, NOT_IMAGES))
        assert str(caught.value).startswith(f"{kind} archive '{tmp_path}")
        assert "holds no image: looked for .avif .bmp" in str(caught.value)
        assert str(caught.value).endswith("; found only .txt (1), hidden files (3)")

    def test_an_empty_archive(self, suffix: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"holds no image: .*; the archive is empty$"):
            open_archive(make(suffix, tmp_path, {}))

    def test_missing_file_and_folder(self, suffix: str, tmp_path: Path) -> None:
        kind = ZipSource if suffix == ".zip" else TarSource
        with pytest.raises(SourceError, match="does not exist"):
            kind(tmp_path / "none")
        with pytest.raises(SourceError, match=r"is a folder, expected a (zip|tar) archive; .*'folder:"):
            kind(tmp_path)

    def test_not_an_archive(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"hello " * 500)
        with pytest.raises(SourceError, match=rf"'{path}' is not a (zip|tar) archive that can be read.*pack it again"):
            open_archive(path)

    @pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
    def test_a_truncated_archive(self, suffix: str, fraction: float, tmp_path: Path) -> None:
        members = {f"{index}.png": png(pixels(index, 64, 64)) for index in range(5)}
        path = make(suffix, tmp_path, members)
        os.truncate(path, int(path.stat().st_size * fraction))

        with pytest.raises(SourceError, match=rf"'{path}' is not a (zip|tar) archive that can be read.*cut short"):
            open_archive(path)

    def test_the_fingerprint_changes_with_the_content(self, suffix: str, tmp_path: Path) -> None:
        path = make(suffix, tmp_path, MEMBERS)
        first = open_archive(path).fingerprint()
        assert open_archive(path).fingerprint() == first
        assert (first.kind, first.description) == ("zip" if suffix == ".zip" else "tar", str(path))

        same_size = bytearray(MEMBERS["c.png"])
        same_size[-20] ^= 1
        make(suffix, tmp_path, MEMBERS | {"c.png": bytes(same_size)})
        assert open_archive(path).fingerprint().digest != first.digest


def test_stored_members(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    source = ZipSource(make_zip(tmp_path / "x.zip", MEMBERS, zipfile.ZIP_STORED))

    np.testing.assert_array_equal(collect(source, workers=2).images[0], IMAGES["a/b.PNG"])


def test_an_archive_with_something_before_it(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = make_zip(tmp_path / "x.zip", MEMBERS)
    path.write_bytes(b"#!/bin/sh self-extracting\n" + path.read_bytes())

    np.testing.assert_array_equal(collect(ZipSource(path)).images[0], IMAGES["a/b.PNG"])


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.png": MEMBERS["b.png"]})
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 8] |= 1
    path.write_bytes(data)

    # The directory may hold a folder's entry before; the image's is the last one.
    with pytest.raises(SourceError, match=r"'a\.png' in '.*' is encrypted; unpack it with its password first"):
        ZipSource(path)


def test_another_packing(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", MEMBERS, zipfile.ZIP_LZMA)

    with pytest.raises(SourceError, match="is packed with method 14, expected stored or deflated; unpack the archive"):
        ZipSource(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member(method: int, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.png": MEMBERS["b.png"]}, method)
    data = bytearray(path.read_bytes())
    data[data.index(b"a.png") + 60] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(BadImageError, match=r"a\.png: damaged in the archive"):
        collect(ZipSource(path))


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.png": bytes(10**6)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 100)
    path.write_bytes(data)

    with pytest.raises(BadImageError, match="damaged in the archive: its size or checksum is not the recorded one"):
        collect(ZipSource(path))


@pytest.mark.parametrize("suffix", [".zip", *TAR_SUFFIXES])
def test_a_member_that_claims_to_be_huge(
    suffix: str, tmp_path: Path, collect: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(suffix, tmp_path, MEMBERS | {"big.png": bytes(5000)})
    monkeypatch.setattr(members_module, "MAX_MEMBER_BYTES", 4999)

    got = collect(open_archive(path), on_bad_image="skip")

    assert got.skipped == [("big.png", "its size in the archive is 5,000 bytes, expected at most 4,999")]
    assert len(got.images) == 5


def test_the_limit_of_a_member_is_one_gibibyte() -> None:
    assert members_module.MAX_MEMBER_BYTES == 1024**3


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_in_a_tar_are_mentioned(mode: str, tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", MEMBERS, mode)
    with tarfile.open(path, "w" if mode == "w" else mode) as archive:
        for name, kind in (("s.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "b.png"
            archive.addfile(link)
        info = tarfile.TarInfo("b.png")
        info.size = len(MEMBERS["b.png"])
        archive.addfile(info, io.BytesIO(MEMBERS["b.png"]))

    source = TarSource(path)

    assert len(source) == 1
    assert source.notes == ("passed over 2 links or special files of an image's name",)


@pytest.mark.parametrize("name", ["BZh9.png", "BZh91AY&S.png"])
def test_a_plain_tar_that_begins_like_a_compressed_one(
    name: str, tmp_path: Path, collect: Callable[..., Collected]
) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(MEMBERS["b.png"])
        archive.addfile(info, io.BytesIO(MEMBERS["b.png"]))

    np.testing.assert_array_equal(collect(TarSource(path)).images[0], IMAGES["b.png"])


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_long_names(format: int, mode: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    members = {f"{'d' * 90}/{index}{'n' * 80}.png": png(pixels(index)) for index in range(3)}

    got = collect(TarSource(make_tar(tmp_path / "x.tar", members, mode, format)))

    for index in range(3):
        np.testing.assert_array_equal(got.images[index], pixels(index))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_damaged_header_in_the_middle_of_a_tar_is_no_end(mode: str, tmp_path: Path) -> None:
    """tarfile alone would take it for the end, and the images behind it would be lost in silence."""
    plain = make_tar(tmp_path / "plain.tar", MEMBERS).read_bytes()
    at = plain.index(b"c.png")
    damaged = plain[:at] + b"X" + plain[at + 1 :]
    path = tmp_path / "x.tar"
    with {"w": open, "w:gz": __import__("gzip").open, "w:xz": __import__("lzma").open}[mode](path, "wb") as file:
        file.write(damaged)
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) < len(MEMBERS)

    with pytest.raises(SourceError, match=r"damaged or cut short \(bad checksum\)"):
        TarSource(path)


def test_a_tar_without_end_mark_and_one_with_more_behind_it(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", MEMBERS)
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    assert TarSource(path).notes == (
        "the archive has more data after its end mark, such as a second archive; it is not read",
    )
    path.write_bytes(whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512))
    assert TarSource(path).notes == ("the archive has no end mark; it may have been cut short between two files",)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_an_archive_that_changes_between_listing_and_reading(
    suffix: str, tmp_path: Path, collect: Callable[..., Collected]
) -> None:
    source = TarSource(make(suffix, tmp_path, MEMBERS))
    make(suffix, tmp_path, {"other.png": MEMBERS["b.png"]})

    with pytest.raises(SourceError):
        collect(source)


def test_a_compressed_tar_is_read_no_further_than_needed(
    tmp_path: Path, collect: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{index:03}.png": png(pixels(index)) for index in range(50)}
    source = TarSource(make_tar(tmp_path / "x.tar.gz", members, "w:gz"))
    headers = []
    original = tarfile.TarInfo.fromtarfile.__func__
    monkeypatch.setattr(
        tarfile.TarInfo,
        "fromtarfile",
        classmethod(lambda cls, archive: headers.append(1) or original(cls, archive)),
    )

    collect(source, Shard(0, 5))

    assert len(headers) <= 13
