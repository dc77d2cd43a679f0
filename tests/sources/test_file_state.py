"""What a cache rests on: a file that may have changed has another fingerprint, and a copy the same listing."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genmetrics.sources.base import ImageSource
from genmetrics.sources.file_state import FileState, file_state
from genmetrics.sources.parse import open_source
from sources.helpers import pixels, png
from sources.test_archive import make_tar, make_zip

#: Larger than what is read ahead with the headers.
IMAGES = {f"{index}.png": png(pixels(index, 60, 60)) for index in range(3)}
ARRAY = {"arr_0": np.stack([pixels(index, 60, 60) for index in range(3)])}


def _folder(root: Path) -> Path:
    root.mkdir()
    for name, data in IMAGES.items():
        (root / name).write_bytes(data)
    return root / "1.png"


def _stored_zip(root: Path) -> Path:
    return make_zip(root.with_suffix(".zip"), IMAGES, zipfile.ZIP_STORED)


def _tar(suffix: str, mode: str) -> Callable[[Path], Path]:
    return lambda root: make_tar(root.with_suffix(suffix), IMAGES, mode)


def _array(suffix: str, save: Callable[..., None]) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        path = root.with_suffix(suffix)
        save(path, ARRAY["arr_0"])
        return path

    return make


#: For each kind: makes a set at a path and returns the file in it that is changed; then what opens the set.
KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "folder": (_folder, lambda file: file.parent),
    "files": (_folder, lambda file: sorted(file.parent.iterdir())),
    "zip": (_stored_zip, lambda file: file),
    "tar": (_tar(".tar", "w"), lambda file: file),
    "tar.gz": (_tar(".tar.gz", "w:gz"), lambda file: file),
    "npz": (_array(".npz", np.savez), lambda file: file),
    "npy": (_array(".npy", np.save), lambda file: file),
}


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def open(self, kind: str, root: Path) -> tuple[Path, Callable[[], ImageSource]]:
        make, given = KINDS[kind]
        file = make(root)
        return file, lambda: open_source(given(file))  # type: ignore[arg-type]

    def test_a_file_overwritten_in_place_with_its_size_and_time_kept_is_noticed(
        self, kind: str, tmp_path: Path
    ) -> None:
        """Within a stored member, so that no recorded checksum changes either."""
        file, opened = self.open(kind, tmp_path / "x")
        before, state = opened().fingerprint(), file.stat()

        with file.open("r+b") as stream:
            # In a gzip file: its recorded time, which decides nothing.
            stream.seek(5 if kind == "tar.gz" else file.stat().st_size // 2)
            byte = stream.read(1)
            stream.seek(-1, os.SEEK_CUR)
            stream.write(bytes([byte[0] ^ 1]))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))

        assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
        after = opened().fingerprint()
        assert after.digest != before.digest
        assert after.listing == before.listing

    def test_the_same_files_have_the_same_fingerprint(self, kind: str, tmp_path: Path) -> None:
        _, opened = self.open(kind, tmp_path / "x")

        assert opened().fingerprint() == opened().fingerprint()

    def test_a_copy_keeps_the_listing(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make, given = KINDS[kind]
        listings, digests = set(), set()
        for place in ("here", "there"):
            (tmp_path / place).mkdir()
            if place == "here":
                make(tmp_path / "here" / "x")
            else:
                shutil.copytree(tmp_path / "here", tmp_path / "there", dirs_exist_ok=True)
            monkeypatch.chdir(tmp_path / place)
            file = Path("x/1.png") if kind in ("folder", "files") else Path(f"x.{kind}")
            found = open_source(given(file)).fingerprint()  # type: ignore[arg-type]
            listings.add(found.listing)
            digests.add(found.digest)

        # An .npy says nothing of its content but the shape, by which two sets could be taken for one.
        assert listings == ({""} if kind == "npy" else listings)
        assert len(listings) == 1
        assert len(digests) == 2

    def test_another_set_has_another_listing(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.open(kind, tmp_path / "x")[1]().fingerprint()
        monkeypatch.setitem(IMAGES, "1.png", png(pixels(9, 30, 30)))
        monkeypatch.setitem(ARRAY, "arr_0", 255 - ARRAY["arr_0"])
        second = self.open(kind, tmp_path / "y")[1]().fingerprint()

        assert first.digest != second.digest
        assert kind == "npy" or first.listing != second.listing


def test_an_array_that_is_replaced_while_it_is_open_has_the_state_of_its_opening(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([pixels(0)]))
    source = open_source(tmp_path / "a.npy")
    first = source.fingerprint()
    np.save(tmp_path / "b.npy", np.stack([pixels(1)]))
    (tmp_path / "b.npy").replace(tmp_path / "a.npy")

    assert source.fingerprint() == first
    assert open_source(tmp_path / "a.npy").fingerprint() != first


def test_a_link_turned_to_a_file_of_the_same_moment(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(png(pixels(0)))
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    link = root / "0.png"
    link.symlink_to(tmp_path / "a")
    before = open_source(root).fingerprint().digest
    link.unlink()
    link.symlink_to(tmp_path / "b")

    assert open_source(root).fingerprint().digest != before


def test_a_file_that_changed_just_now_is_waited_for(tmp_path: Path) -> None:
    """Between two looks, any change shows, however fast: the file system's clock has gone on."""
    path = tmp_path / "x"
    path.write_bytes(b"0")
    states = set()
    for _ in range(20):
        states.add(file_state(path))
        with path.open("r+b") as file:
            file.write(b"1")
        os.utime(path, ns=(0, 0))
    assert len(states) == 20
    assert all(isinstance(state, FileState) and state.size == 1 for state in states)


def test_an_old_file_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0")
    time.sleep(0.05)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waited"))

    file_state(path)


def test_what_a_later_repacking_looks_like(tmp_path: Path) -> None:
    """Two archives of the same images, one packed again, are two files of one listing."""
    path = make_tar(tmp_path / "x.tar", IMAGES)
    first = open_source(path).fingerprint()
    with tarfile.open(path, "w") as archive:
        for name in IMAGES:
            (tmp_path / name).write_bytes(IMAGES[name])
            archive.add(tmp_path / name, name)
    second = open_source(path).fingerprint()

    assert (first.listing == second.listing, first.digest == second.digest) == (True, False)
