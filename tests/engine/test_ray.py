"""``--engine ray``: the number of one process, through failures too, and our errors as ours."""

from __future__ import annotations

import importlib
import os
import tarfile
from collections.abc import Iterator

import pytest
import torch

import genmetrics as gm
from genmetrics.engine.options import RayOptions
from genmetrics.errors import BadImageError, DependencyError, GenmetricsError, UsageError
from genmetrics.stats.stats import Stats
from genmetrics.types import Shard

pytest.importorskip("ray")
# Ray's own files and sockets are closed when its processes end, and it deprecates what it calls itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_SET = {"device": "cpu", "extractor": "efficientnet-lite0.in1k", "cache": False, "workers": 1}
_UNITS = RayOptions(actors=1, images_per_unit=3)
#: A network that ends its process the first time that it sees a third share of images, or each time.
_DEADLY = """
import os, pathlib, torch
class Net(torch.nn.Module):
    preprocess = "pil-bicubic-224-imagenet"
    def __init__(self):
        super().__init__()
        self.calls = 0
    def forward(self, images):
        self.calls += 1
        mark = pathlib.Path({mark!r})
        if self.calls == 4 and {always} | (not mark.exists()) and os.getpid() != {parent}:
            mark.touch()
            os._exit(1)
        return images.mean((2, 3))
"""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()


def _same(one: Stats, other: Stats) -> None:
    assert one.side == other.side
    assert one.accumulators.keys() == other.accumulators.keys()
    for need, held in one.accumulators.items():
        for name, value in held.state().items():
            assert torch.allclose(value.double(), other.accumulators[need].state()[name].double(), rtol=1e-9, atol=1e-9)
    assert one.keys is not None and other.keys is not None
    assert all(torch.equal(value, other.keys.state()[name]) for name, value in one.keys.state().items())
    assert one.side.formats is not None and one.side.sizes is not None
    assert (one.labels is None) == (other.labels is None)
    if one.labels is not None and other.labels is not None:
        assert all(torch.equal(value, other.labels.state()[name]) for name, value in one.labels.state().items())


@pytest.mark.parametrize("kind", ["folder", "tars", "parquet"])
def test_the_same_as_one_process(kind, image_folder, tmp_path):
    folder = image_folder(28, 24, 20, 1)
    source = str(folder)
    files = sorted(folder.iterdir())
    if kind == "tars":
        for number in range(2):
            with tarfile.open(tmp_path / f"s{number}.tar", "w") as tar:
                for file in files[number * 14 : number * 14 + 14]:
                    tar.add(file, file.name)
                    (tmp_path / "label").write_text(str(int(file.stem) % 3))
                    tar.add(tmp_path / "label", f"{file.stem}.cls")
        source = f"wds:{tmp_path}/s{{0,1}}.tar"
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"image": [file.read_bytes() for file in files]}), tmp_path / "t.parquet")
        source = str(tmp_path / "t.parquet")
    seen: list[int] = []
    there = gm.compute_stats(
        source,
        ["kid", "fid"],
        engine="ray",
        ray_options=_UNITS,
        progress=lambda record: seen.append(record.done),
        **_SET,
    )
    _same(gm.compute_stats(source, ["kid", "fid"], **_SET), there)
    assert seen[-1] == 28 and max(seen) == 28
    assert (there.labels is not None) == (kind == "tars")


def test_a_share_whose_process_dies_counts_once(image_folder, tmp_path):
    folder, mark = str(image_folder(12, 24, 20, 2)), tmp_path / "died"
    (tmp_path / "net.py").write_text(_DEADLY.format(mark=str(mark), always=False, parent=os.getpid()))
    options = {**_SET, "extractor": f"python:{tmp_path}/net.py:Net"}
    there = gm.compute_stats(folder, ["fid"], engine="ray", ray_options=_UNITS, **options)
    assert mark.exists()
    _same(gm.compute_stats(folder, ["fid"], **options), there)


@pytest.mark.slow
def test_a_share_that_always_ends_its_process_ends_the_run(image_folder, tmp_path):
    mark = str(tmp_path / "died")
    (tmp_path / "net.py").write_text(_DEADLY.format(mark=mark, always=True, parent=os.getpid()).replace("== 4", ">= 2"))
    options = {**_SET, "extractor": f"python:{tmp_path}/net.py:Net"}
    with pytest.raises(GenmetricsError, match=r"share 0/1 of '.*' ended its process 4 times"):
        gm.compute_stats(str(image_folder(3, 24, 20, 6)), ["fid"], engine="ray", ray_options=_UNITS, **options)


def test_bad_images_under_both_policies(image_folder):
    folder = image_folder(9, 24, 20, 3)
    (folder / "00004.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(BadImageError, match=r"00004\.png: ") as caught:
        gm.compute_stats(folder, ["kid"], engine="ray", ray_options=_UNITS, **_SET)
    assert [name for name, _ in caught.value.images] == ["00004.png"]
    given = {**_SET, "on_bad_image": "skip"}
    there = gm.compute_stats(folder, ["kid"], engine="ray", ray_options=_UNITS, **given)
    assert [image.name for image in there.side.skipped] == ["00004.png"]
    _same(gm.compute_stats(folder, ["kid"], **given), there)


def test_what_does_not_go_together(image_folder, monkeypatch):
    folder = image_folder(4, 24, 20, 4)
    with pytest.raises(UsageError, match="leave one of the two out"):
        gm.compute_stats(folder, ["kid"], engine="ray", shard=Shard(0, 2), **_SET)
    with pytest.raises(UsageError, match="--engine ray does a lost share again by itself"):
        gm.compute_stats(folder, ["kid"], engine="ray", resume=folder.parent / "run", **_SET)
    with pytest.raises(UsageError, match="was given a list, which is on no machine but in this process"):
        gm.compute_stats([folder], ["kid"], engine="ray", **_SET)
    with pytest.raises(UsageError, match="without engine='ray'"):
        gm.compute_stats(folder, ["kid"], ray_options=RayOptions(), **_SET)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one of several that torchrun started"):
        gm.compute_stats(folder, ["kid"], engine="ray", **_SET)


def test_without_ray_its_package_is_named(image_folder, monkeypatch):
    real = importlib.import_module

    def absent(name: str, package: str | None = None):
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(DependencyError, match=r"pip install 'genmetrics\[ray\]'"):
        gm.compute_stats(image_folder(4, 24, 20, 5), ["kid"], engine="ray", **_SET)
