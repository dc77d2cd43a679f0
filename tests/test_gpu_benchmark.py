"""The benchmark of a GPU, which is run where there is one: that it says so elsewhere, and works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SCRIPT = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "gpu.py")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device; a machine without one would run it")
def test_without_a_gpu_nothing_is_measured():
    ended = subprocess.run(SCRIPT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "finds no CUDA device: nothing was measured" in ended.stderr and not ended.stdout


@pytest.mark.slow
def test_the_stages_run_on_a_cpu():
    name = "trial_of_gpu"
    result = ROOT / "benchmarks" / "results" / f"{name}.json"
    sizes = ["--count", "16", "--batch-size", "8", "--rounds", "1", "--workers", "2"]
    try:
        subprocess.run([*SCRIPT, "--device", "cpu", *sizes, "--no-peers", "--output", name], check=True)
        rows = json.loads(result.read_text())["rows"]
    finally:
        result.unlink(missing_ok=True)
    kinds = [row["what"].partition(",")[0] for row in rows]
    assert kinds.count("network alone") == 2 and kinds.count("from decoded memory") == 2
    assert {"decode alone", "whole run"} <= set(kinds)
    [whole] = [row for row in rows if row["what"].startswith("whole run")]
    assert whole["network_share_of_wall"] > 0 and whole["images_per_second"] > 0 and whole["limited_by"]
    assert set(whole["values"]) == {"fid", "kid", "isc"}
