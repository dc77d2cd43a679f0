"""Shares of an image set, and protocols as text."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from genmetrics.metrics import METRICS
from genmetrics.types import Protocol, Shard


@pytest.mark.parametrize("total", [0, 1, 2, 7, 10, 100, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
def test_shares_partition_any_total(total: int, count: int) -> None:
    shares = [Shard(index, count).range(total) for index in range(count)]
    assert [position for share in shares for position in share] == list(range(total))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_more_shares_than_images() -> None:
    shares = [Shard(index, 5).range(3) for index in range(5)]
    assert sorted(len(share) for share in shares) == [0, 0, 1, 1, 1]
    assert sorted(position for share in shares for position in share) == [0, 1, 2]


def test_default_share_is_everything() -> None:
    assert Shard().range(17) == range(17)


@pytest.mark.parametrize(("index", "count"), [(1, 1), (-1, 2), (2, 2), (0, 0)])
def test_impossible_share_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match=rf"^shard {index}/{count}: expected 0 <= index < count$"):
        Shard(index, count)


# DESIGN's own strings.
@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("fid", "inception-v3.tf2015/2048/tf1-bilinear-299"),
        ("fid_64", "inception-v3.tf2015/64/tf1-bilinear-299"),
        ("fid_pytorch", "inception-v3.tf2015/2048/torch-bilinear-299"),
        ("kid", "inception-v3.tf2015/2048/tf1-bilinear-299/poly3-100x1000"),
        ("isc", "inception-v3.tf2015/logits_unbiased/tf1-bilinear-299/splits10"),
    ],
)
def test_protocol_text(metric: str, text: str) -> None:
    assert str(METRICS.get(metric).protocol) == text


def test_only_other_than_exact_precision_shows() -> None:
    protocol = Protocol("net.tag", "pool", "squash-8")
    assert str(protocol) == "net.tag/pool/squash-8"
    assert str(replace(protocol, precision="bf16")) == "net.tag/pool/squash-8/bf16"
    assert str(replace(protocol, estimator="e1", precision="tf32")) == "net.tag/pool/squash-8/e1/tf32"


def test_protocol_texts_of_all_metrics_differ() -> None:
    texts = [str(info.protocol) for info in METRICS.entries()]
    assert len(texts) == len(set(texts))


def test_values_do_not_import_torch() -> None:
    code = (
        "import sys, genmetrics.types, genmetrics.registry, genmetrics.errors, genmetrics.metrics, "
        "genmetrics.extractors; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
