"""Two and three gloo processes with unlike numbers of batches: nothing hangs, nothing is lost, all have one number.

Tolerance: 1e-9 relative to one process that is fed everything.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from processes_worker import FAKE, REAL, SHARES, feed, figures, images, metrics

from genmetrics.metrics.kernel import distances_of_subsets
from support.colours import Colours
from support.peers import import_peer
from support.ranks import run_ranks

permutation = import_peer("genmetrics.compat.torchmetrics.rows_state").permutation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WORKER = Path(__file__).with_name("processes_worker.py")


@pytest.fixture(scope="module", params=[2, 3])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    ended = run_ranks(WORKER, request.param, str(folder), seconds=120)
    assert [rank.code for rank in ended] == [0] * request.param, "\n".join(rank.log for rank in ended)
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(request.param)]


@pytest.fixture(scope="module")
def alone() -> dict[str, list[float]]:
    """One process with everything."""
    values = {}
    for name, metric in metrics().items():
        for batch in images(REAL, 1).split(7):
            feed(metric, batch, real=True)
        for batch in images(FAKE, 2).split(7):
            feed(metric, batch, real=False)
        values[name] = figures(metric.compute())
    return values


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", ["fid", "fid of few", "kid", "mifid", "isc"])
def test_the_number_is_that_of_one_process(found, alone, name, share):
    for rank in found:
        assert rank[f"{name}, {share}"] == pytest.approx(alone[name], rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", ["kid of draws", "isc of draws"])
def test_draws_are_the_same_everywhere(found, name, share):
    """Every rank had another seed."""
    first = found[0][f"{name}, {share}"]
    for rank in found[1:]:
        assert rank[f"{name}, {share}"] == first


def test_the_draws_come_from_the_first_ranks_generator(found):
    torch.manual_seed(100)
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))
    network = Colours(2, torch.float32)
    real, fake = network(images(REAL, 1)), network(images(FAKE, 2))
    chosen = [(permutation(REAL, draws)[:5], permutation(FAKE, draws)[:5]) for _ in range(4)]
    distances = distances_of_subsets(
        fake, real, torch.stack([pair[1] for pair in chosen]), torch.stack([pair[0] for pair in chosen])
    )
    expected = [float(distances.mean()), float(distances.std(correction=0))]
    assert found[0]["kid of draws, one rank has none"] == pytest.approx(expected, rel=1e-6)


def test_torchmetrics_ranks_have_unlike_numbers(found):
    """Negative control, with as many batches everywhere; with unlike numbers of them it hangs."""
    theirs, ours = ([tuple(rank[f"even, {side}"]) for rank in found] for side in ("theirs", "ours"))
    assert len(set(theirs)) == len(found)
    assert len(set(ours)) == 1


def test_a_collection_that_keeps_the_real_images(found, alone):
    for rank in found:
        assert rank["collection"]["fid"] == pytest.approx(alone["fid"], rel=1e-9)
        assert rank["collection"]["kid"] == pytest.approx(alone["kid"], rel=1e-9, abs=1e-12)


def test_synchronising_on_each_step_and_by_hand(found, alone):
    for rank in found:
        assert rank["on step"] == pytest.approx(alone["fid"] * 2, rel=1e-9)
        assert rank["by hand"] == pytest.approx(alone["fid"], rel=1e-9)
