"""What a cache rests on: a file that may have changed has another fingerprint, and a copy the same identity."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmetrics.errors import BadImageError, SourceError
from genmetrics.sources.base import ImageSource
from genmetrics.sources.file_state import FileState, SetDigest, file_state
from genmetrics.sources.parse import open_source
from genmetrics.sources.sampling import add_blocks, add_files, evenly_spaced
from sources.helpers import Collected, pixels, png
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
        source, state = opened(), file.stat()
        before, identity = source.fingerprint(), source.identity()

        with file.open("r+b") as stream:
            # In a gzip file: its recorded time, which decides nothing.
            stream.seek(5 if kind == "tar.gz" else file.stat().st_size // 2)
            byte = stream.read(1)
            stream.seek(-1, os.SEEK_CUR)
            stream.write(bytes([byte[0] ^ 1]))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))

        assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
        after = opened()
        assert after.fingerprint().digest != before.digest
        # Also by the source that was open all the time: this is how a run knows that a set changed meanwhile.
        assert source.fingerprint() == after.fingerprint()
        # Checksums of archives are those that were recorded; of all others some bytes are looked at.
        assert (after.identity() == identity) == (kind in ("zip", "npz", "tar.gz"))

    def test_what_is_read_by_an_index_or_mapped_is_not_read_once_it_changed(
        self, kind: str, tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        file, opened = self.open(kind, tmp_path / "x")
        source = opened()
        collect(source)
        # Long files are not read again where they are the same: one byte, and all else in its place.
        with file.open("r+b") as stream:
            stream.seek(5 if kind == "tar.gz" else file.stat().st_size - 1)
            stream.write(b"\0")

        if kind in ("folder", "files"):  # each file is opened as it is read
            collect(source, on_bad_image="skip")
            return
        with pytest.raises(SourceError) as caught:
            collect(source)
        assert str(caught.value) == f"'{file}' has changed since it was opened; open it again"

    def test_a_file_that_has_gone(self, kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        file, opened = self.open(kind, tmp_path / "x")
        source = opened()
        before = source.fingerprint()
        file.rename(tmp_path / "elsewhere")

        assert source.fingerprint().digest not in (None, before.digest)
        with pytest.raises((SourceError, BadImageError)):
            collect(source)

    def test_the_same_files_have_the_same_fingerprint(self, kind: str, tmp_path: Path) -> None:
        _, opened = self.open(kind, tmp_path / "x")

        assert opened().fingerprint() == opened().fingerprint()

    def test_a_copy_keeps_the_identity(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make, given = KINDS[kind]
        identities, digests = set(), set()
        for place in ("here", "there"):
            (tmp_path / place).mkdir()
            if place == "here":
                make(tmp_path / "here" / "x")
            else:
                shutil.copytree(tmp_path / "here", tmp_path / "there", dirs_exist_ok=True)
            monkeypatch.chdir(tmp_path / place)
            file = Path("x/1.png") if kind in ("folder", "files") else Path(f"x.{kind}")
            found = open_source(given(file))  # type: ignore[arg-type]
            identities.add(found.identity())
            digests.add(found.fingerprint().digest)

        assert None not in identities
        assert len(identities) == 1
        assert len(digests) == 2

    def test_another_set_of_the_same_names_and_sizes_has_another_identity(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the raw images of two checkpoints of one model have."""
        for name in IMAGES:
            monkeypatch.setitem(IMAGES, name, _bmp(int(name[0])))
        first = self.open(kind, tmp_path / "x")[1]()
        known = first.identity(), first.fingerprint().digest
        for name in IMAGES:
            monkeypatch.setitem(IMAGES, name, _bmp(int(name[0]) + 100))
        monkeypatch.setitem(ARRAY, "arr_0", 255 - ARRAY["arr_0"])
        (tmp_path / "y").mkdir()
        second = self.open(kind, tmp_path / "y" / "x")[1]()

        assert second.identity() not in (None, known[0])
        assert second.fingerprint().digest != known[1]


def _bmp(seed: int) -> bytes:
    """Under a name that says otherwise; its size says nothing."""
    stream = io.BytesIO()
    Image.fromarray(pixels(seed, 60, 60)).save(stream, "BMP")
    return stream.getvalue()


def test_an_array_that_is_replaced_while_it_is_open(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    np.save(tmp_path / "a.npy", np.stack([pixels(0)]))
    source = open_source(tmp_path / "a.npy")
    first = source.fingerprint()
    np.save(tmp_path / "b.npy", np.stack([pixels(1)]))
    (tmp_path / "b.npy").replace(tmp_path / "a.npy")

    assert source.fingerprint() != first
    with pytest.raises(SourceError, match="has changed since it was opened"):
        source.identity()
    with pytest.raises(SourceError, match="has changed since it was opened"):
        collect(source)


class TestSamples:
    @pytest.mark.parametrize("total", [0, 1, 2, 63, 64, 65, 127, 128, 1000, 1_281_167])
    def test_spaced_evenly_with_both_ends(self, total: int) -> None:
        found = evenly_spaced(total)

        assert len(found) == min(total, 64)
        assert list(found) == sorted(set(found))
        assert not total or (found[0], found[-1]) == (0, total - 1)
        steps = np.diff(found)
        assert not len(steps) or steps.max() - steps.min() <= 1

    @pytest.mark.parametrize("given", ["folder", "files", "tar", "tar.gz"])
    def test_little_is_read(self, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the ends of a set and of its middle."""
        monkeypatch.setattr("genmetrics.sources.sampling._MOST_SAMPLES", 3)
        seen = set()
        for changed in (None, 0, 1, 4, 8):
            images = {f"{index}.bmp": _bmp(50 if index == changed else index) for index in range(9)}
            place = tmp_path / str(changed)
            place.mkdir()
            if given.startswith("tar"):
                source = open_source(make_tar(place / f"x.{given}", images, "w:gz" if given == "tar.gz" else "w"))
            else:
                for name, data in images.items():
                    (place / name).write_bytes(data)
                source = open_source(place if given == "folder" else sorted(place.iterdir()))
            seen.add(source.identity())

        assert len(seen) == 4  # image 1 is not looked at

    def test_blocks_of_large_files(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        content = bytearray(2**23)
        seen = set()
        for place in (0, evenly_spaced(2**23 - 2**16 + 1)[31] + 100, 2**23 - 1, None):
            changed = bytearray(content)
            if place is not None:
                changed[place] = 1
            path.write_bytes(changed)
            digest = SetDigest()
            add_blocks(digest, [path])
            seen.add(digest.hexdigest())
        assert len(seen) == 4

    def test_a_file_that_cannot_be_read_is_written_down(self, tmp_path: Path) -> None:
        digest = SetDigest()
        add_files(digest, [("a", tmp_path / "none")])
        add_blocks(digest, [tmp_path / "none"])

        assert digest.hexdigest() != SetDigest().hexdigest()


def test_files_of_a_list_are_the_same_in_another_place(tmp_path: Path) -> None:
    first = _folder(tmp_path / "x").parent
    shutil.copytree(first, tmp_path / "y")

    one, other = (open_source(sorted(root.iterdir())).identity() for root in (first, tmp_path / "y"))
    assert one == other


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
    """Two archives of the same images, one packed again, are two files of one identity."""
    path = make_tar(tmp_path / "x.tar", IMAGES)
    source = open_source(path)
    first, identity = source.fingerprint(), source.identity()
    with tarfile.open(path, "w") as archive:
        for name in IMAGES:
            (tmp_path / name).write_bytes(IMAGES[name])
            archive.add(tmp_path / name, name)
    second = open_source(path)

    assert (second.identity() == identity, second.fingerprint() == first) == (True, False)
