"""The cache as runs use it: a change of anything is noticed, and where nothing changed no network is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.errors import GenmetricsWarning
from genmetrics.stats.cache import StatsCache
from support.blocks import NET, Blocks, registered_blocks

FD = f"fd.{NET}"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StatsCache:
    monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
    return StatsCache(tmp_path / "cache" / "stats")


@pytest.fixture
def folder(tmp_path: Path, smooth_images) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for number, image in enumerate(smooth_images(12, 20, 20, seed=3)):
        Image.fromarray(image).save(root / f"{number:02d}.bmp")
    return root


def build(source, **options) -> tuple[torch.Tensor, int]:
    """The mean feature, and how many networks were built for it."""
    before = Blocks.built
    stats = gm.compute_stats(source, ["fid", "kid"], extractor=NET, device="cpu", **options)
    need = next(need for need in stats.accumulators if need.accumulator == "moments")
    return stats.accumulators[need].mean(), Blocks.built - before


def test_nothing_changed_builds_no_network_and_gives_the_same_bits(folder: Path, cache: StatsCache) -> None:
    first, built = build(folder)
    assert built == 1
    assert len(cache.entries()) == 2
    again, built = build(folder)
    assert built == 0
    assert torch.equal(first, again)
    before = Blocks.built
    one = gm.evaluate(folder, folder, ["fid", "kid"], extractor=NET)
    assert Blocks.built == before
    other = gm.evaluate(folder, folder, ["fid", "kid"], extractor=NET, cache=False)
    assert Blocks.built == before + 1
    assert [one[name].value for name in one.metrics] == [other[name].value for name in other.metrics]
    assert (one.gen, one.ref) == (other.gen, other.ref)


def test_a_whole_command_repeated_is_a_hit_on_both_sides(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    first = gm.evaluate(folder, other, ["fid", "kid", "isc"], extractor=NET)
    before = Blocks.built
    again = gm.evaluate(folder, other, ["fid", "kid", "isc"], extractor=NET)
    assert Blocks.built == before
    assert [result.value for result in first.metrics.values()] == [result.value for result in again.metrics.values()]
    assert (again.gen, again.ref) == (first.gen, first.ref)
    assert (first.reused, again.reused) == ((), ("gen", "ref"))
    assert again.to_dict()["reused"] == ["gen", "ref"]


def overwrite(path: Path, keep_times: bool = True) -> None:
    """Change one pixel in place; size, name and, as far as a program can, times stay."""
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x80
    with path.open("rb+") as file:
        file.write(data)
    if keep_times:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size


def replace_by_another(path: Path) -> None:
    shutil.copy2(path.with_name("11.bmp"), path)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: overwrite(folder / "04.bmp"),
        lambda folder: overwrite(folder / "04.bmp", keep_times=False),
        lambda folder: replace_by_another(folder / "04.bmp"),
        lambda folder: (folder / "04.bmp").unlink(),
        lambda folder: shutil.copy2(folder / "04.bmp", folder / "12.bmp"),
        lambda folder: (folder / "04.bmp").rename(folder / "40.bmp"),
    ],
    ids=["in place, times put back", "in place", "another image", "removed", "added", "renamed"],
)
def test_changing_one_image_is_noticed(folder: Path, change: Callable[[Path], object]) -> None:
    build(folder)
    change(folder)
    changed, built = build(folder)
    assert built == 1
    assert torch.equal(changed, build(folder, cache=False)[0])


def test_an_array_is_known_by_its_bytes(smooth_images) -> None:
    images = smooth_images(6, 20, 20, seed=4)
    _, built = build(images)
    assert (built, build(images.copy())[1]) == (1, 0)
    images[3, 0, 0, 0] ^= 1
    assert build(images)[1] == 1


@pytest.mark.parametrize(
    "options",
    [{"alpha": "white"}, {"num": 6}, {"num": 6, "seed": 7}, {"on_bad_image": "skip"}, {"precision": "bf16"}],
    ids=str,
)
def test_every_option_that_can_change_the_numbers_is_part_of_the_key(folder: Path, options: dict) -> None:
    build(folder)
    build(folder, num=6, seed=8)
    assert build(folder, **options)[1] == 1
    assert build(folder, **options)[1] == 0


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"workers": 0}, {"seed": 9}], ids=str)
def test_options_that_cannot_are_not(folder: Path, options: dict) -> None:
    build(folder)
    assert build(folder, **options)[1] == 0


def test_a_changed_weight_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "scale.txt"
    weights.write_text("2.0")
    first, _ = build(folder, weights=weights)
    assert build(folder)[1] == 1
    assert build(folder, weights=weights)[1] == 0
    state = weights.stat()
    weights.write_text("3.0")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    changed, built = build(folder, weights=weights)
    assert built == 1
    assert torch.allclose(changed, first * 1.5)


def test_a_changed_preprocessing_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from genmetrics.preprocess.spec import PREPROCESS

    build(folder)
    monkeypatch.setitem(PREPROCESS, "squash-16", replace(PREPROCESS["squash-16"], size=(8, 8)))
    assert build(folder)[1] == 1


def test_another_version_of_a_package_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder)
    from genmetrics import versions

    others = {**versions.versions(), "pillow": "0.1"}
    monkeypatch.setattr("genmetrics.engine.remember.versions", lambda: others)
    assert build(folder)[1] == 1


def test_only_what_is_missing_is_computed(folder: Path) -> None:
    gm.compute_stats(folder, ["fid"], extractor=NET)
    records: list[gm.Progress] = []
    both = gm.compute_stats(folder, ["fid", "kid"], extractor=NET, progress=records.append)
    assert any(record.done == 12 for record in records)
    assert {need.accumulator for need in both.accumulators} == {"moments", "feature_bank"}
    records.clear()
    gm.compute_stats(folder, ["fid", "kid"], extractor=NET, progress=records.append)
    assert records == []


def test_a_set_that_changes_while_it_is_read_is_not_kept(folder: Path, cache: StatsCache) -> None:
    def meddle(record: gm.Progress) -> None:
        if record.done == record.total:
            overwrite(folder / "04.bmp")

    with pytest.warns(GenmetricsWarning, match="changed while it was read"):
        build(folder, progress=meddle)
    assert cache.entries() == []


def test_an_image_that_could_not_be_read_once_is_tried_again(folder: Path, cache: StatsCache) -> None:
    whole = (folder / "04.bmp").read_bytes()
    (folder / "04.bmp").write_bytes(b"torn")
    build(folder, on_bad_image="skip")
    assert cache.entries() == []
    (folder / "04.bmp").write_bytes(whole)
    assert torch.equal(build(folder, on_bad_image="skip")[0], build(folder, cache=False)[0])


def test_the_seed_of_the_run_is_recorded(folder: Path) -> None:
    assert gm.compute_stats(folder, ["fid"], extractor=NET, seed=1).seed == 1
    again = gm.compute_stats(folder, ["fid"], extractor=NET, seed=2)
    assert again.seed == 2


def test_a_network_that_promises_nothing_is_built_each_time(folder: Path, monkeypatch, cache: StatsCache) -> None:
    locate = Blocks.locate
    monkeypatch.setattr(Blocks, "locate", classmethod(lambda cls, weights: None))
    monkeypatch.setattr(
        Blocks, "__init__", lambda self, weights, make=Blocks.__init__: _with_weights(self, weights, make, locate)
    )
    assert [build(folder)[1] for _ in range(2)] == [1, 1]
    assert cache.entries() == []


def _with_weights(self: Blocks, weights: Path | None, make, locate) -> None:
    make(self, weights)
    self.weights = locate(weights)


def test_switched_off(folder: Path, cache: StatsCache, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder, cache=False)
    monkeypatch.setenv("GENMETRICS_CACHE", "off")
    build(folder)
    assert not cache.folder.exists()


def test_a_folder_of_ones_own(folder: Path, cache: StatsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENMETRICS_CACHE", "off")  # what a call says goes before
    own = tmp_path / "own"
    assert [build(folder, cache=own)[1] for _ in range(2)] == [1, 0]
    assert len(StatsCache(own).entries()) == 2
    assert not cache.folder.exists()


def test_an_entry_that_is_damaged_is_computed_again(folder: Path, cache: StatsCache) -> None:
    first, _ = build(folder)
    for entry in cache.entries():
        entry.path.write_bytes(entry.path.read_bytes()[:-1])
    with pytest.warns(GenmetricsWarning, match="is damaged"):
        again, built = build(folder)
    assert built == 1
    assert torch.equal(first, again)
    assert build(folder)[1] == 0


def test_numbers_from_the_cache_are_those_without_it(folder: Path, tmp_path: Path, smooth_images) -> None:
    many = smooth_images(40, 20, 20, seed=9)  # more than dimensions, so that the moments are folded
    reports = [
        gm.evaluate(many, folder, ["fid", "kid", "isc"], extractor=NET, cache=cache) for cache in (False, True, True)
    ]
    values = [np.array([result.value for result in report.metrics.values()]) for report in reports]
    assert (values[0] == values[1]).all() and (values[0] == values[2]).all()
