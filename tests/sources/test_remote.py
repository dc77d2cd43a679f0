"""Images at addresses, through fsspec: the same as the same files on this machine, and nothing secret in a text."""

from __future__ import annotations

import importlib
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.errors import DependencyError, SourceError
from genmetrics.sources import remote
from genmetrics.sources.base import BatchSpec
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, archives plain and packed, and a table, of the same images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path_factory.mktemp("remote")
    data = {f"{number % 2}/{number}.png": png(pixels(number)) for number in range(12)}
    for name, content in data.items():
        (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / name).write_bytes(content)
    (root / "set" / "readme.txt").write_text("no image")
    for archive, mode, part in (("a0.tar", "w", 0), ("a1.tar", "w", 1), ("packed.tgz", "w:gz", 0)):
        with tarfile.open(root / archive, mode) as tar:
            tar.add(root / "set" / str(part), str(part))
    pq.write_table(pa.table({"image": list(data.values()), "label": list(range(12))}), root / "t.parquet")
    return root


@pytest.fixture
def store(local: Path) -> Iterator[str]:
    system = fsspec.filesystem("memory")
    system.put(str(local) + "/", "/bucket/", recursive=True)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


@pytest.mark.parametrize("name", ["set", "a{0,1}.tar", "a*.tar", "a?.tar", "packed.tgz", "t.parquet"])
def test_the_same_as_on_this_machine(local, store, name):
    here, there = gm.open_source(f"{local}/{name}"), gm.open_source(f"{store}/{name}")
    assert there.description == f"{store}/{name}"
    assert (there.kind, len(there), there.names(), there.notes) == (here.kind, len(here), here.names(), here.notes)
    for shard in (Shard(), Shard(1, 3)):
        one, other = (Collected(side.batches(shard, BatchSpec(4, 2))) for side in (here, there))
        assert one.images.keys() == other.images.keys() and one.labels == other.labels
        assert all(np.array_equal(one.images[index], other.images[index]) for index in one.images)


def test_a_kind_before_an_address(store):
    assert gm.open_source(f"wds:{store}/a0.tar").kind == "wds"
    assert len(gm.open_source(f"folder:{store}/set", labels="folders")) == 12
    with pytest.raises(SourceError, match=r"zip sources are read on this machine only; .*: download it first"):
        gm.open_source(f"zip:{store}/x.zip")


@pytest.mark.parametrize("name", ["set", "a0.tar"])
def test_another_file_is_another_set(store, name):
    before = gm.open_source(f"{store}/{name}")
    was = before.identity(), before.fingerprint()
    assert was[0] == gm.open_source(f"{store}/{name}").identity()
    changed = "/bucket/set/0/0.png" if name == "set" else "/bucket/a0.tar"
    system = fsspec.filesystem("memory")
    system.pipe_file(changed, system.cat_file("/bucket/set/0/2.png" if name == "set" else "/bucket/a1.tar"))
    after = gm.open_source(f"{store}/{name}")
    assert after.identity() != was[0] and after.fingerprint() != was[1]


def test_an_archive_that_changes_under_way_is_an_error(store):
    opened = gm.open_source(f"{store}/a0.tar")
    system = fsspec.filesystem("memory")
    system.pipe_file("/bucket/a0.tar", system.cat_file("/bucket/a1.tar"))
    with pytest.raises(SourceError, match="has changed since it was opened"):
        list(opened.batches(Shard(), BatchSpec(4, 0)))


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("memory://bucket/none.tar", r"'memory://bucket/none.tar' stands for do not exist"),
        ("memory://bucket/{a0,b,c}.tar", r"2 of 3 files .* do not exist: memory://bucket/b.tar, memory://bucket/c.tar"),
        ("memory://bucket/none", r"'memory://bucket/none' holds no image: looked below it for .*nothing is there"),
        ("memory://bucket/x.npz", r"expected a folder of images, or .tar, .parquet or .arrow files"),
        ("nowhere://x/y", r"'nowhere://x/y': no store of the scheme 'nowhere://' is known"),
    ],
)
def test_errors_say_what_was_tried(store, address, text):
    with pytest.raises(SourceError, match=text):
        gm.open_source(address)


def test_no_secret_is_shown():
    given = "https://user:PASSWORD@host/a.tar?X-Amz-Signature=SECRET#f"
    assert remote.shown(given) == "https://host/a.tar"
    assert remote.shown("s3://key:SECRET@bucket/a.tar") == "s3://bucket/a.tar"
    path = remote.RemotePath(given, remote.shown(given), _Refusing())
    with pytest.raises(OSError, match="cannot be read") as caught:
        path.read_bytes()
    for text in (str(caught.value), repr(path), str(path)):
        assert "SECRET" not in text and "PASSWORD" not in text


class _Refusing:
    def cat_file(self, key: str) -> bytes:
        raise PermissionError(f"403 for {key}, retried {key}&more=SECRET at https://user:PASSWORD@host/a.tar?s=SECRET")


def test_the_missing_package_is_named(monkeypatch):
    real = importlib.import_module

    def absent(name: str, package: str | None = None):
        if name.startswith("fsspec"):
            raise ImportError("No module named 'fsspec'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(DependencyError, match=r"'s3://b/x.tar' needs the package 'fsspec' .*genmetrics\[remote\]"):
        gm.open_source("s3://b/x.tar")


@pytest.mark.parametrize("name", ["set", "a{0,1}.tar", "packed.tgz", "t.parquet"])
def test_s3_through_pyarrow_where_s3fs_is_missing(local, monkeypatch, tmp_path, name):
    """A folder stands for the store; what is asked of pyarrow is the same."""
    arrow = pytest.importorskip("pyarrow.fs")
    given: list[dict[str, str]] = []

    def system(**options: str):
        given.append(options)
        (tmp_path / "store").mkdir(exist_ok=True)
        if not (tmp_path / "store" / "bucket").exists():
            (tmp_path / "store" / "bucket").symlink_to(local)
        return arrow.SubTreeFileSystem(str(tmp_path / "store"), arrow.LocalFileSystem())

    monkeypatch.setattr(arrow, "S3FileSystem", system)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    here, there = gm.open_source(f"{local}/{name}"), gm.open_source(f"s3://bucket/{name}")
    assert given[0] == {"endpoint_override": "127.0.0.1:9000", "scheme": "http"}
    assert (there.kind, len(there), there.names()) == (here.kind, len(here), here.names())
    one, other = (Collected(side.batches(Shard(), BatchSpec(4, 2))) for side in (here, there))
    assert one.images.keys() == other.images.keys()
    assert all(np.array_equal(one.images[index], other.images[index]) for index in one.images)
