"""The folder of cached statistics: found by what they were made from, bounded, safe for many processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import genmetrics as gm
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import GenmetricsWarning, OutputError, UsageError
from genmetrics.stats.cache import StatsCache, cache_folder
from genmetrics.stats.io import _checksum
from genmetrics.types import ExtractorRecord, Need, SideRecord

NEED = Need("net.v1", "squash", "pool", "moments")
WIDTH = 40


def stats(seed: int = 0) -> gm.Stats:
    moments = Moments(WIDTH)
    moments.update(torch.randn(90, WIDTH, generator=torch.Generator().manual_seed(seed)), torch.arange(90))
    record = ExtractorRecord("0" * 64, True, "exact")
    return gm.Stats({NEED: moments}, SideRecord("real", "folder", 90, "a" * 64), {"net.v1": record}, 2020)


def mean(held: gm.Stats | None) -> torch.Tensor:
    assert held is not None
    moments = held.accumulators[NEED]
    assert isinstance(moments, Moments)
    return moments.mean()


@pytest.fixture
def cache(tmp_path: Path) -> StatsCache:
    return StatsCache(tmp_path / "stats")


def test_what_was_kept_is_found_by_its_whole_key(cache: StatsCache) -> None:
    cache.put({"a": 1, "b": [2]}, stats())
    assert torch.equal(mean(cache.get({"b": [2], "a": 1})), mean(stats()))
    for other in ({"a": 1}, {"a": 1, "b": [3]}, {"a": 2, "b": [2]}, {"a": 1, "b": [2], "c": None}):
        assert cache.get(other) is None


def test_an_entry_under_another_name_is_not_believed(cache: StatsCache) -> None:
    cache.put({"a": 1}, stats())
    cache.put({"a": 2}, stats(1))
    first, second = cache._path('{"a": 1}'), cache._path('{"a": 2}')
    second.write_bytes(first.read_bytes())
    with pytest.warns(GenmetricsWarning, match="is the entry of another key"):
        assert cache.get({"a": 2}) is None
    assert not second.exists()
    assert cache.get({"a": 1}) is not None


@pytest.mark.parametrize("damage", ["cut", "altered", "empty"])
def test_a_damaged_entry_is_removed_and_said(cache: StatsCache, damage: str) -> None:
    cache.put({"a": 1}, stats())
    path = cache._path('{"a": 1}')
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-9], "altered": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[damage])
    with pytest.warns(GenmetricsWarning, match="is damaged .* it is removed and computed again"):
        assert cache.get({"a": 1}) is None
    assert not path.exists()


def test_size_is_bounded_and_what_was_used_last_stays(tmp_path: Path) -> None:
    cache = StatsCache(tmp_path)
    cache.put({"n": 0}, stats())
    size = cache.entries()[0].size
    cache = StatsCache(tmp_path, max_bytes=3 * size + size // 2)
    for number in range(1, 3):
        cache.put({"n": number}, stats(number))
    for age, number in enumerate((1, 2, 0)):  # 0 was used last
        path = cache._path(f'{{"n": {number}}}')
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get({"n": 1}) is not None  # and now 1 was
    cache.put({"n": 3}, stats(3))
    assert [cache.get({"n": number}) is not None for number in range(4)] == [True, True, False, True]
    assert sum(entry.size for entry in cache.entries()) <= cache.max_bytes


def test_an_entry_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = StatsCache(tmp_path, max_bytes=10)
    with pytest.warns(GenmetricsWarning, match=r"could not be kept in the cache: they are .*GENMETRICS_CACHE_SIZE"):
        cache.put({"n": 0}, stats())
    assert cache.entries() == []


def test_it_does_not_push_out_the_others(tmp_path: Path) -> None:
    StatsCache(tmp_path).put({"n": 0}, stats())
    small = StatsCache(tmp_path, max_bytes=StatsCache(tmp_path).entries()[0].size - 2000)
    with pytest.warns(GenmetricsWarning, match="could not be kept"):
        small.put({"n": 1}, stats(1))
    assert small.get({"n": 0}) is not None


def test_a_full_disk_as_the_library_tells_it(cache: StatsCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors, target, metadata) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("genmetrics.stats.io.save_file", full)
    with pytest.warns(GenmetricsWarning, match="No space left on device"):
        cache.put({"n": 0}, stats())
    with pytest.raises(OutputError, match="No space left on device"):
        stats().save(cache.folder.parent / "x.safetensors")


def test_an_entry_in_the_layout_of_another_version_is_a_miss(cache: StatsCache) -> None:
    cache.put({"n": 0}, stats())
    (entry,) = cache.entries()
    with safe_open(entry.path, framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    fingerprint = json.loads(header["fingerprint"])
    del fingerprint["skipped"]
    header["fingerprint"] = json.dumps(fingerprint, sort_keys=True)
    header["sha256"] = _checksum(tensors, {key: text for key, text in header.items() if key != "sha256"})
    save_file(tensors, entry.path, header)
    with pytest.warns(GenmetricsWarning, match="written by another version"):
        assert cache.get({"n": 0}) is None


def test_names_that_are_no_utf_8(cache: StatsCache, tmp_path: Path) -> None:
    named = stats().with_side(SideRecord("caf\udce9", "folder", 90, "a" * 64))
    cache.put({"source": "caf\udce9"}, named)
    held = cache.get({"source": "caf\udce9"})
    assert held is not None and held.side.source == "caf\udce9"
    named.save(tmp_path / "x.safetensors")
    assert gm.Stats.load(tmp_path / "x.safetensors").side.source == "caf\udce9"


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(GenmetricsWarning, match="could not be kept in the cache: .*Give another folder"):
        StatsCache(tmp_path / "file").put({"n": 0}, stats())


def test_a_full_disk_leaves_no_entry(cache: StatsCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors, target, metadata) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genmetrics.stats.io.save_file", full)
    with pytest.warns(GenmetricsWarning, match="No space left on device"):
        cache.put({"n": 0}, stats())
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_entries_and_clear(cache: StatsCache) -> None:
    cache.put({"need": {"accumulator": "moments"}}, stats())
    (entry,) = cache.entries()
    assert (entry.source, entry.num_samples, entry.key) == ("real", 90, {"need": {"accumulator": "moments"}})
    abandoned = entry.path.with_name(".x.part")
    abandoned.write_bytes(b"12345")
    os.utime(abandoned, (1000, 1000))
    assert cache.clear() == (2, entry.size + 5)
    assert cache.entries() == [] and cache.clear() == (0, 0)


def test_left_over_writes_go_after_an_hour(cache: StatsCache) -> None:
    cache.put({"n": 0}, stats())
    folder = cache.entries()[0].path.parent
    old, new = folder / ".old.part", folder / ".new.part"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (1000, 1000))
    cache.put({"n": 1}, stats())
    assert (old.exists(), new.exists()) == (False, True)


def test_a_group_can_read_what_one_of_it_wrote(cache: StatsCache) -> None:
    before = os.umask(0o027)
    try:
        cache.put({"n": 0}, stats())
    finally:
        os.umask(before)
    path = cache.entries()[0].path
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_many_processes_write_read_evict_and_clear_at_once(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("cache_worker.py")
    processes = [
        subprocess.Popen([sys.executable, str(worker), str(tmp_path)], stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors


class TestWhere:
    def test_by_default(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("GENMETRICS_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder() == tmp_path / "genmetrics" / "stats"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache_folder() == tmp_path / ".cache" / "genmetrics" / "stats"

    def test_by_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "here"))
        assert cache_folder() == tmp_path / "here" / "stats"
        monkeypatch.setenv("GENMETRICS_CACHE", "OFF")
        assert cache_folder() is None
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "file"))
        with pytest.raises(UsageError, match=r"GENMETRICS_CACHE='.*file' is a file; expected a folder, or 'off'"):
            cache_folder()

    @pytest.mark.parametrize(
        ("text", "size"), [("", 10**10), ("20GB", 2 * 10**10), ("1.5 mb", 1_500_000), ("700", 700), ("3T", 3 * 10**12)]
    )
    def test_size(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, size: int) -> None:
        monkeypatch.setenv("GENMETRICS_CACHE_SIZE", text)
        assert StatsCache(tmp_path).max_bytes == size

    @pytest.mark.parametrize("text", ["much", "-1", "10 XB", "GB"])
    def test_no_size(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
        monkeypatch.setenv("GENMETRICS_CACHE_SIZE", text)
        with pytest.raises(UsageError, match=r"expected a size such as '20GB' or '500MB'"):
            StatsCache(tmp_path)
