"""Sets of many tar archives, and the webdataset layout."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genmetrics.errors import BadImageError, SourceError
from genmetrics.sources.folder import FolderSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.patterns import expand
from genmetrics.sources.tar import TarSource, WebdatasetSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png
from sources.test_archive import TAR_SUFFIXES, make_tar

SUFFIXES = list(TAR_SUFFIXES)


def image(number: int) -> np.ndarray:
    return pixels(number, 8 + number % 2, 6)


@pytest.fixture
def shards(tmp_path: Path) -> Callable[..., str]:
    """Twelve images in three archives, 0 to 3 in the first; the same images lie in the folder ``flat``."""

    def make(suffix: str = ".tar") -> str:
        (tmp_path / "flat").mkdir(exist_ok=True)
        for shard in range(3):
            members = {}
            for number in range(4 * shard, 4 * shard + 4):
                members[f"{number:03}.png"] = png(image(number))
                members[f"{number:03}.cls"] = b"%d\n" % (number % 5)
                (tmp_path / "flat" / f"{number:03}.png").write_bytes(png(image(number)))
            make_tar(tmp_path / f"s-{shard:06}{suffix}", members, TAR_SUFFIXES[suffix])
        return f"{tmp_path}/s-{{000000..000002}}{suffix}"

    return make


def message(given: object, **options: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(given, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestEachCompression:
    @pytest.mark.parametrize("workers", [0, 3])
    @pytest.mark.parametrize("count", [1, 2, 5, 20])
    def test_images_equal_those_of_a_folder(
        self,
        suffix: str,
        workers: int,
        count: int,
        shards: Callable[..., str],
        tmp_path: Path,
        collect: Callable[..., Collected],
    ) -> None:
        source = TarSource(shards(suffix))
        expected = collect(FolderSource(tmp_path / "flat"))

        images: dict[int, np.ndarray] = {}
        for number in range(count):
            images |= collect(source, Shard(number, count), workers=workers, batch_size=3).images

        assert sorted(images) == list(range(12))
        for index, found in images.items():
            np.testing.assert_array_equal(found, expected.images[index])
        assert source.notes == ()

    def test_selections_and_labels(
        self, suffix: str, shards: Callable[..., str], collect: Callable[..., Collected]
    ) -> None:
        got = collect(TarSource(shards(suffix)), selection=(0, 3, 4, 11), workers=2)

        assert [got.labels[index] for index in range(4)] == [0, 3, 4, 1]
        for index, number in enumerate((0, 3, 4, 11)):
            np.testing.assert_array_equal(got.images[index], image(number))

    def test_a_shard_that_is_cut_off(self, suffix: str, shards: Callable[..., str], tmp_path: Path) -> None:
        pattern = shards(suffix)
        path = tmp_path / f"s-000001{suffix}"
        os.truncate(path, path.stat().st_size // 2)

        assert message(pattern).startswith(f"'{path}' is not a tar archive that can be read, or it is damaged or cut")

    def test_a_shard_that_changes_after_it_was_listed(
        self, suffix: str, shards: Callable[..., str], tmp_path: Path, collect: Callable[..., Collected]
    ) -> None:
        source = TarSource(shards(suffix))
        make_tar(tmp_path / f"s-000001{suffix}", {"x.png": png(image(0))}, TAR_SUFFIXES[suffix])

        assert len(collect(source, Shard(0, 3)).images) == 4
        with pytest.raises(SourceError, match=rf"s-000001{suffix}' has changed since it was opened; open it again"):
            collect(source)


def test_recognised_without_a_prefix(shards: Callable[..., str], tmp_path: Path) -> None:
    pattern = shards()
    for given in (pattern, f"tar:{pattern}", Path(pattern), f"{tmp_path}/s-*.tar", f"{tmp_path}/s-00000?.tar"):
        source = open_source(given)
        assert (type(source), len(source)) == (TarSource, 12), given
    assert type(open_source(f"wds:{pattern}")) is WebdatasetSource
    assert type(open_source(pattern, kind="wds")) is WebdatasetSource
    listed = open_source(f"{tmp_path}/{{s-000002,s-000000}}.tar")
    assert listed.names()[:5] == [  # type: ignore[attr-defined]
        *(f"s-000002.tar/{number:03}.png" for number in range(8, 12)),
        "s-000000.tar/000.png",
    ]


def test_the_home_folder_is_expanded(
    shards: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards()
    monkeypatch.setenv("HOME", str(tmp_path))

    assert len(open_source("~/s-{000000..000002}.tar")) == len(open_source("tar:~/s-*.tar")) == 12


def test_an_existing_path_with_braces_is_no_pattern(tmp_path: Path) -> None:
    make_tar(tmp_path / "{a,b}.tar", {"x.png": png(image(0))})
    make_tar(tmp_path / "[0].tar", {"x.png": png(image(0))})

    assert open_source(tmp_path / "{a,b}.tar").names() == ["x.png"]  # type: ignore[attr-defined]
    assert expand(f"{tmp_path}/[0]*.tar", "a tar archive") == (tmp_path / "[0].tar",)


def test_missing_shards_are_named(shards: Callable[..., str], tmp_path: Path) -> None:
    shards()
    pattern = f"{tmp_path}/s-{{000000..000014}}.tar"
    first_ten = ", ".join(f"{tmp_path}/s-{number:06}.tar" for number in range(3, 13))

    for given in (pattern, f"tar:{pattern}", f"wds:{pattern}"):
        assert message(given) == (
            f"12 of 15 files that '{pattern}' stands for do not exist: {first_ten} and 2 more; bring them "
            "here, or leave them out of the pattern"
        )
    assert message(f"{tmp_path}/t-*.tar") == (
        f"'{tmp_path}/t-*.tar' matches no file; look at the folder and the name, as `ls {tmp_path}/t-*.tar` would"
    )


def test_a_shard_that_is_named_twice(shards: Callable[..., str], tmp_path: Path) -> None:
    shards()

    assert message(f"{tmp_path}/{{s-000001,s-*}}.tar") == (
        f"'{tmp_path}/{{s-000001,s-*}}.tar' stands for the same file more than once: {tmp_path}/s-000001.tar; "
        "name each once"
    )


def test_a_pattern_without_end(tmp_path: Path) -> None:
    assert message("x-{0..9999999}.tar") == (
        "'x-{0..9999999}.tar' stands for more than 1,000,000 files; give a narrower pattern"
    )


def test_patterns_of_other_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(image(0)))
    (tmp_path / "folder-1").mkdir()

    assert message(f"{tmp_path}/*.png").startswith(
        f"'{tmp_path}/*.png' stands for files such as '{tmp_path}/a.png'; expected tar"
    )
    assert message(f"{tmp_path}/*.png").endswith(f"give their folder, '{tmp_path}', or from Python a list of paths")
    assert "is a folder, expected a tar archive" in message(f"tar:{tmp_path}/folder-*")


def test_a_folder_of_shards_names_the_pattern_to_type(shards: Callable[..., str], tmp_path: Path) -> None:
    root = tmp_path / "only"
    root.mkdir()
    for suffix, pattern in ((".tar", "*.tar"), (".tar.gz", "*.tar.gz"), (".tgz", "*.tgz")):
        for path in root.iterdir():
            path.unlink()
        make_tar(root / f"x{suffix}", {"x.png": png(image(0))}, TAR_SUFFIXES[suffix])
        assert message(root).endswith(f"; for the images in these archives, give '{root}/{pattern}'")
        assert len(open_source(f"{root}/{pattern}")) == 1


def test_shards_without_any_image(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar", {"x.txt": b"1"})
    make_tar(tmp_path / "b.tar", {"y.json": b"1"})

    assert message(f"{tmp_path}/?.tar").endswith("; found only .json (1), .txt (1)")
    make_tar(tmp_path / "c.tar", {"y.png": png(image(0))})
    assert len(open_source(f"{tmp_path}/?.tar")) == 1


def test_the_same_key_in_two_shards_is_two_images(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number, name in enumerate(("a/x.tar", "b/x.tar", "b/y.tar")):
        make_tar(tmp_path / name, {"k.png": png(image(number)), "k.cls": b"%d" % number})

    source = TarSource(f"{tmp_path}/{{a/x,b/x,b/y}}.tar")
    got = collect(source)

    assert source.names() == [f"{tmp_path}/{name}.tar/k.png" for name in ("a/x", "b/x", "b/y")]
    assert source.paths() == ["k.png"] * 3
    assert got.labels == {0: 0, 1: 1, 2: 2}
    for number in range(3):
        np.testing.assert_array_equal(got.images[number], image(number))


def test_notes_name_the_shards_that_they_are_about(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a.tar", {"x.png": png(image(0)), "x.json": b""}).read_bytes()
    (tmp_path / "b.tar").write_bytes(whole + whole)
    (tmp_path / "c.tar").write_bytes(whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512))

    assert TarSource(f"{tmp_path}/?.tar").notes == (
        "passed over 3 files that are no images: .json (3)",
        "archives with no end mark; it may have been cut short between two files: c.tar",
        "archives with more data after its end mark, such as a second archive; it is not read: b.tar",
    )


def test_bad_images_are_named_with_their_shard(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    for number in range(2):
        make_tar(tmp_path / f"{number}.tar", {"a.png": png(image(0)), "b.png": b"text"})

    with pytest.raises(BadImageError, match=r"0\.tar/b\.png: not an image") as caught:
        collect(TarSource(f"{tmp_path}/{{0,1}}.tar"))
    assert [name for name, _ in caught.value.images] == ["0.tar/b.png", "1.tar/b.png"]


def test_no_more_files_are_open_than_are_read_from(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    """A set may have more shards than a process may open files."""
    resource = pytest.importorskip("resource")
    for number in range(80):
        make_tar(tmp_path / f"{number:03}.tar", {"a.png": png(image(number))})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, limits[1]))
    try:
        got = collect(TarSource(f"{tmp_path}/{{000..079}}.tar"), batch_size=4, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(got.images) == 80


@pytest.mark.parametrize("place", ["first", "last"])
def test_members_of_more_than_eight_gibibytes(place: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    """The size no longer fits the header's octal field. The file takes no space, since the member is a hole."""
    path = tmp_path / "x.tar"
    huge = tarfile.TarInfo("huge.bin")
    huge.size = 9 * 2**30
    with path.open("wb") as file:
        for name in ("huge.bin", "a.png") if place == "first" else ("a.png", "huge.bin"):
            if name == "huge.bin":
                file.write(huge.tobuf(tarfile.GNU_FORMAT))
                file.seek(huge.size, os.SEEK_CUR)
                continue
            data = png(image(1))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.write(info.tobuf() + data + bytes(-len(data) % 512))
        file.write(bytes(1024))

    source = TarSource(path)

    np.testing.assert_array_equal(collect(source).images[0], image(1))
    assert source.notes == ("passed over 1 file that is no image: .bin (1)",)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_names_that_lead_outside_are_read_in_place(
    suffix: str, tmp_path: Path, collect: Callable[..., Collected]
) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    outside = tmp_path / "a" / "out.png"
    outside.write_bytes(b"untouched")
    members = {str(tmp_path / "abs.png"): png(image(0)), "../out.png": png(image(1)), "x/../y.png": png(image(2))}
    path = make_tar(inside / f"x{suffix}", members, TAR_SUFFIXES[suffix])
    before = sorted(tmp_path.rglob("*"))

    source = TarSource(path)
    got = collect(source)

    assert source.names() == sorted(members)
    for index, name in enumerate(sorted(members)):
        np.testing.assert_array_equal(png(got.images[index]), members[name])
    assert source.notes == (
        "3 images with a name that leads out of the archive, such as '../out.png'; nothing is unpacked, all are "
        "read in place",
    )
    assert outside.read_bytes() == b"untouched"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar"])
def test_a_large_archive_is_not_held_in_memory(suffix: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    filler = np.random.default_rng(0).integers(0, 256, 2**20, dtype=np.uint8).tobytes()
    members = {f"{number:03}.bin": filler for number in range(48)}
    members |= {f"{number:03}.png": png(image(number)) for number in range(48)}
    make_tar(tmp_path / f"x{suffix}", members, TAR_SUFFIXES[suffix])

    tracemalloc.start()
    try:
        got = collect(TarSource(f"{tmp_path}/x{suffix}"), workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(got.images) == 48
    assert peak < 12 * 2**20


class TestLabels:
    def test_beside_the_image_or_of_its_key(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        members = {
            **{"a/k.png": png(image(0)), "a/k.cls": b" 7\n", "a/v1.5.png": png(image(1)), "a/v1.5.cls": b"-1"},
            **{"b.k/x.mask.png": png(image(2)), "b.k/x.cls": b"3"},
        }
        got = collect(TarSource(make_tar(tmp_path / "x.tar", members)))

        assert got.labels == {0: 7, 1: -1, 2: 3}

    def test_some_without(self, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        members = {f"{number:02}.png": png(image(number)) for number in range(14)} | {"03.cls": b"1", "12.cls": b"1"}
        path = make_tar(tmp_path / "x.tar", members)
        ten = ", ".join(f"{number:02}.png" for number in (0, 1, 2, *range(4, 11)))

        assert TarSource(path).label_problem == (
            f"12 of 14 images have no .cls file with a label beside them: {ten} and 2 more"
        )
        assert collect(TarSource(path)).labels == {}

    def test_texts_that_are_no_integers(self, tmp_path: Path) -> None:
        members = {"a.png": png(image(0)), "a.cls": b"cat", "b.png": png(image(0)), "b.cls": b"1"}

        assert TarSource(make_tar(tmp_path / "x.tar", members)).label_problem == (
            "labels in .cls files must be integers: a.png has b'cat'"
        )

    def test_labels_of_no_image(self, tmp_path: Path) -> None:
        source = TarSource(make_tar(tmp_path / "x.tar", {"a.png": png(image(0)), "a.cls": b"1", "gone.cls": b"2"}))

        assert source.notes == ("1 label of no image: gone.cls",)
        assert source.label_problem == ""


class TestColumns:
    MEMBERS = {  # noqa: RUF012
        **{f"{key}{suffix}": png(image(0)) for key in ("a", "b") for suffix in (".png", ".mask.png", ".Seg.JPG")},
        **{"v0.5.png": png(image(0)), "a.json": b"{}"},
    }

    def test_a_plain_tar_counts_them_and_says_so(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "x.tar", self.MEMBERS)
        source = TarSource(path)

        assert len(source) == 7
        assert source.notes == (
            "passed over 1 file that is no image: .json (1)",
            "4 images such as 'a.Seg.JPG' beside another of the same key; all are counted. If they are masks or the "
            f"like of webdataset samples, 'wds:{path}' leaves them out",
        )

    def test_webdataset_passes_over_them(self, tmp_path: Path) -> None:
        source = WebdatasetSource(make_tar(tmp_path / "x.tar", self.MEMBERS))

        assert source.names() == ["a.png", "b.png"]
        assert source.kind == "wds"
        assert source.notes == (
            "passed over 6 files that are no images: .mask.png (2), .seg.jpg (2), .5.png (1), .json (1)",
        )

    def test_nothing_but_columns(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "x.tar", {"a.mask.png": png(image(0))})

        assert message(f"wds:{path}").endswith("found only .mask.png (1)")


def test_a_shard_of_links_only(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "b.png"
        archive.addfile(link, io.BytesIO())

    assert "holds no image" in message(tmp_path / "x.tar")
