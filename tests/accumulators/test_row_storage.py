"""Banks beyond the limit lie in files: the same rows, flat memory, and nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genmetrics.accumulators import row_storage
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.row_storage import FOLDER, LIMIT, RowFile, bank_memory, new_rows
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, SideRecord

WIDTH = 7

#: Feeds as many rows as it is told to, and prints how much memory that is no file's it had at most.
MEMORY = """
import re, sys, torch
from genmetrics.accumulators.feature_bank import FeatureBank
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
bank, most = FeatureBank(1024), 0.0
FeatureBank(1024).update(torch.zeros(256, 1024), torch.arange(256))
before = anonymous()
order = torch.randperm(int(sys.argv[1]), generator=torch.Generator().manual_seed(0))
for at in order.split(256):
    bank.update(torch.full((len(at), 1024), 0.5), at)
    most = max(most, anonymous() - before)
for block in bank.rows().split(256):
    block.sum()
    most = max(most, anonymous() - before)
other = FeatureBank.from_state({"rows": bank.rows(), "indices": bank.indices() + len(order)})
merged = bank.merge(other)
assert merged.rows().shape == (2 * len(order), 1024)
print(max(most, anonymous() - before))
"""


def fed(limit: str | None, monkeypatch: pytest.MonkeyPatch, folder: Path) -> FeatureBank:
    """200 rows in a mixed order, read once in the middle."""
    monkeypatch.setenv(FOLDER, str(folder))
    if limit is None:
        monkeypatch.delenv(LIMIT, raising=False)
    else:
        monkeypatch.setenv(LIMIT, limit)
    bank = FeatureBank(WIDTH)
    generator = torch.Generator().manual_seed(0)
    rows, order = torch.randn(200, WIDTH, generator=generator), torch.randperm(200, generator=generator)
    for number, at in enumerate(order.split(17)):
        bank.update(rows[at], at)
        if number == 5:
            bank.rows()
    return bank


@pytest.mark.parametrize("limit", ["0", "1K", "4K", "5K"])
def test_the_same_as_in_memory(limit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_memory = fed(None, monkeypatch, tmp_path)
    on_disk = fed(limit, monkeypatch, tmp_path)
    assert is_mapped(on_disk.rows()) and not is_mapped(in_memory.rows())
    assert torch.equal(on_disk.rows(), in_memory.rows())
    assert torch.equal(on_disk.indices(), in_memory.indices())
    assert list(tmp_path.iterdir()) == []


def is_mapped(rows: torch.Tensor) -> bool:
    """Whether rows lie in a file, by what the system says of their address."""
    address = rows.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(text, 16) for text in line.split()[0].split("-"))
        if start <= address < stop:
            return "deleted" in line or "safetensors" in line
    raise AssertionError("not in the process's memory")


def test_merge_and_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bank = fed("0", monkeypatch, tmp_path)
    moved = FeatureBank.from_state({"rows": bank.rows() + 1, "indices": bank.indices() + 1000})
    for merged in (moved.merge(bank), bank.merge(moved)):
        assert torch.equal(merged.rows(), torch.cat((bank.rows(), bank.rows() + 1)))
        assert is_mapped(merged.rows())
    with pytest.raises(StatisticsError, match="image index 0 occurs more than once"):
        bank.merge(bank)
    bad = torch.zeros(9, WIDTH)
    bad[4, 2] = torch.nan
    with pytest.raises(StatisticsError, match="indices 4"):
        FeatureBank.from_state({"rows": bad, "indices": torch.arange(9)})


def test_a_statistics_file_is_mapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bank = fed("0", monkeypatch, tmp_path)
    need = Need("x", "y", "z", "feature_bank")
    stats = Stats({need: bank}, SideRecord("a", "b", 200, None), {}, 0)
    path = tmp_path / "bank.safetensors"
    stats.save(path)
    loaded = Stats.load(path).accumulators[need]
    assert isinstance(loaded, FeatureBank)
    assert torch.equal(loaded.rows(), bank.rows())
    assert is_mapped(loaded.rows())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    environment = os.environ | {LIMIT: "8M", FOLDER: str(tmp_path), "OMP_NUM_THREADS": "1"}
    most = {}
    for count in (8_000, 32_000):  # 33 MB and 131 MB
        command = [sys.executable, "-c", MEMORY, str(count)]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
        most[count] = float(found.stdout)
    assert most[8_000] < 40 and most[32_000] < 40, most
    assert most[32_000] < most[8_000] + 10, most
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(row_storage.os, "posix_fallocate", full)
        with pytest.raises(OutputError, match=r"No space left on device.*GENMETRICS_BANK_FOLDER"):
            new_rows(100, WIDTH, torch.float32, 0)
    file = RowFile(WIDTH, torch.float32)
    with Path("/dev/full").open("wb") as no_room, monkeypatch.context() as patch:
        patch.setattr(file, "_file", no_room.fileno())
        with pytest.raises(OutputError, match="No space left on device"):
            file.append(torch.zeros(4, WIDTH))
    monkeypatch.setenv(FOLDER, str(tmp_path / "none"))
    with pytest.raises(OutputError, match="No such file"):
        new_rows(100, WIDTH, torch.float32, 0)


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = bank_memory()
    assert alone > 2**27
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert bank_memory() == alone // 4
    for text, size in (("0", 0), ("100", 100), ("1.5k", 1536), ("4G", 4 * 2**30), ("20 MB", 20 * 2**20)):
        monkeypatch.setenv(LIMIT, text)
        assert bank_memory() == size
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(UsageError, match="GENMETRICS_BANK_MEMORY='much': expected a number of bytes"):
        bank_memory()
