"""Two hosts with an address each: torchrun across them, and the cable pulled out."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.ranks import environment, run_together, write_images

HERE = Path(__file__).parent
HOSTS = ["unshare", "--user", "--map-root-user", "--net", "sh", str(HERE / "two_hosts.sh")]
LITE = "efficientnet-lite0.in1k"
PORT = 29555  # of networks of its own


@functools.cache
def can_make_hosts() -> bool:
    """Whether this machine lets people make networks of their own, which containers often do not."""
    if any(shutil.which(tool) is None for tool in ("unshare", "nsenter", "ip")):
        return False
    probe = "ip link add first type veth peer name second && unshare --net true"
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", probe]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not can_make_hosts(), reason="needs `unshare --user --map-root-user --net`, nsenter and ip with veth devices"
)


def test_torchrun_across_two_hosts(tmp_path: Path) -> None:
    write_images(tmp_path / "gen", 7, 1)
    write_images(tmp_path / "ref", 9, 2)
    place = f"--nnodes 2 --nproc-per-node 1 --master-addr 10.77.0.1 --master-port {PORT}"
    what = f"eval {tmp_path}/gen --ref {tmp_path}/ref -m fid --extractor {LITE} --device cpu --workers 0"
    commands = [
        f"{sys.executable} -m torch.distributed.run {place} --node-rank {rank} -m genmetrics {what} "
        f"--json {tmp_path}/report.json --no-cache"
        for rank in (0, 1)
    ]
    (ended,) = run_together([[*HOSTS, *commands]], [environment()], 90)
    assert ended.code == 0, ended.log
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["num_processes"] == 2
    assert report["gen"]["num_samples"] == 7
    assert ended.out.count(f"fd.{LITE}   ") == 1


@pytest.mark.slow
def test_a_host_that_is_cut_off_is_missed_by_both(tmp_path: Path) -> None:
    """No connection is closed: nothing ever comes again."""
    place = f"MASTER_ADDR=10.77.0.1 MASTER_PORT={PORT} WORLD_SIZE=2 GENMETRICS_RANK_TIMEOUT=2"
    worker = f"{sys.executable} {HERE / 'failing_worker.py'} {tmp_path} unplugged"
    commands = [f"{place} RANK={rank} {worker}" for rank in (0, 1)]
    (ended,) = run_together([[*HOSTS, *commands, f"{tmp_path}/seen-1.json"]], [environment()], 60)
    assert ended.code == 0, ended.log
    first, second = (json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in (0, 1))
    assert first["ready"]["result"] == second["ready"]["result"]
    assert first["unplugged"]["error"] == second["unplugged"]["error"] == "DistributedError"
    assert first["unplugged"]["text"].startswith("rank 1 has given no sign for 2 s")
    assert "which rank 0 or its launcher keeps, cannot be reached any more" in second["unplugged"]["text"]
    assert max(seen["unplugged"]["seconds"] for seen in (first, second)) < 20
