"""Models compared: which metrics, several runs, the JSON, and how often the verdict is right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.errors import UnknownNameError, UsageError
from support.results import GEN_A, GEN_B, REF, result, save, with_blocks


def test_those_of_one_alone_are_listed():
    compared = gm.compare(result("a", fid=1.0, kid=2.0), result("b", fid=1.0, isc=3.0))
    assert (list(compared), compared.only_in_a, compared.only_in_b) == (["fid"], ("kid",), ("isc",))


def test_those_that_a_run_lacks_are_said():
    runs = [result("b", fid=1.0, isc=3.0), result("c", fid=1.0)]
    compared = gm.compare(result("a", fid=1.0, isc=2.0), runs)
    assert list(compared) == ["fid"]
    assert "isc is not compared, since 'B, run 2' does not have it" in compared.notes


def test_none_in_common():
    with pytest.raises(UsageError, match="no metric in common \\('A' has fid; 'B' has kid\\); evaluate both with"):
        gm.compare(result("a", fid=1.0), result("b", kid=1.0))


def test_unknown_names():
    a, b = result("a", fid=1.0, kid=2.0), result("b", fid=1.0)
    with pytest.raises(UnknownNameError, match=r"'kid' is not in 'B'; of those that all results have: .*'?fid"):
        gm.compare(a, b, "kid")
    with pytest.raises(UnknownNameError, match="no metric 'fdi'; did you mean 'fid'"):
        gm.compare(a, b)["fdi"]


def test_the_best_of_several_is_pointed_out_with_what_it_would_gain():
    a = [result(f"a{i}", fid=value, isc=-value) for i, value in enumerate((10.0, 10.4, 10.8))]
    b = [result(f"b{i}", fid=value, isc=-value) for i, value in enumerate((9.0, 9.1))]
    compared = gm.compare(a, b)
    assert "The best of several runs is biased low" in compared["fid"].notes[0]
    assert "10 for A, 0.4 better than the mean of its 3 runs and 9 for B, 0.05 better" in compared["fid"].notes[0]
    assert "biased high" in compared["isc"].notes[0]
    assert "-10 for A, 0.4 better" in compared["isc"].notes[0]
    assert compared["fid"].a.best == 10.0 and compared["isc"].a.best == -10.0


def test_the_error_within_a_run_stands_beside():
    a = [result(f"a{i}", fid={"value": 10.0 + i, "se": se}) for i, se in enumerate((0.3, 0.4))]
    compared = gm.compare(a, result("b", fid=9.0))["fid"]
    assert compared.a.se == pytest.approx(math.sqrt((0.09 + 0.16) / 2))
    assert compared.b.se is None


def test_a_folder_is_a_model(tmp_path):
    for i in range(3):
        save(tmp_path / "a" / f"run{i}.json", result(f"a{i}", fid=10.0 + i))
        save(tmp_path / "b" / f"run{i}.json", result(f"b{i}", fid=11.0 + i))
    (tmp_path / "a" / "notes.txt").write_text("not a result")
    compared = gm.compare(tmp_path / "a", str(tmp_path / "b"))
    assert compared["fid"].a.runs == (10.0, 11.0, 12.0)
    assert compared.a.results == tuple(str(tmp_path / "a" / f"run{i}.json") for i in range(3))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"the folder '.*empty' has no \.json file"):
        gm.compare(empty, tmp_path / "a")
    with pytest.raises(UsageError, match="model B has no result"):
        gm.compare(tmp_path / "a", [])


def test_layout():
    a, b = result("a", fid=with_blocks(GEN_A, REF), kid=1.0), result("b", fid=with_blocks(GEN_B, REF), isc=2.0)
    read: dict[str, Any] = json.loads(json.dumps(gm.compare(a, b).to_dict(), allow_nan=False))
    assert set(read) == {"schema", "a", "b", "metrics", "only_in_a", "only_in_b", "forced", "notes"}
    assert read["schema"] == 1
    assert read["a"] == {
        "results": ["A"],
        "sources": ["samples/a"],
        "num_samples": 1000,
        "digests": [a["gen"]["digest"]],
    }
    fid = read["metrics"]["fid"]
    assert set(fid) == {
        *("a", "b", "difference", "se", "ci95_low", "ci95_high", "verdict", "reason", "paired", "compared"),
        *("method", "higher_is_better", "a_se", "b_se", "a_runs", "b_runs", "notes"),
    }
    assert (fid["verdict"], fid["paired"], fid["compared"], fid["a_runs"]) == ("better", ["ref"], "value", None)
    assert (read["only_in_a"], read["only_in_b"]) == (["kid"], ["isc"])


def test_of_runs():
    a = [result(f"a{i}", fid=value) for i, value in enumerate((1.0, 3.0))]
    fid = gm.compare(a, result("b", fid=1.0)).to_dict()["metrics"]["fid"]
    assert fid["a_runs"] == {"values": [1.0, 3.0], "sd": math.sqrt(2), "best": 1.0}
    assert (fid["a"], fid["b_runs"]) == (2.0, None)


#: A Fréchet distance in 4 dimensions, 300 samples a side in 10 blocks.
N, D, BLOCKS = 300, 4, 10


def moments(rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and covariance of all rows, then without one block each; row i is in block i mod 10."""
    block = np.arange(len(rows)) % BLOCKS
    kept = [rows, *(rows[block != left_out] for left_out in range(BLOCKS))]
    return [(some.mean(axis=0), np.cov(some, rowvar=False)) for some in kept]


def distance(gen: tuple[np.ndarray, np.ndarray], ref: tuple[np.ndarray, np.ndarray]) -> float:
    values, vectors = np.linalg.eigh(ref[1])
    root = (vectors * np.sqrt(values)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ gen[1] @ root), 0, None)).sum()
    return float(((gen[0] - ref[0]) ** 2).sum() + np.trace(gen[1]) + np.trace(ref[1]) - 2 * cross)


def measured(name: str, gen: np.ndarray, ref: np.ndarray) -> dict[str, Any]:
    """A result with the replicates of both sides and the jackknife's debiased figure."""
    of_gen, of_ref = moments(gen), moments(ref)
    value = distance(of_gen[0], of_ref[0])
    without_gen = [distance(of, of_ref[0]) for of in of_gen[1:]]
    without_ref = [distance(of_gen[0], of) for of in of_ref[1:]]
    bias = sum((BLOCKS - 1) * (np.mean(values) - value) for values in (without_gen, without_ref))
    return result(name, fid=with_blocks(without_gen, without_ref, value, debiased=float(value - bias)))


def repeats(shift: float) -> list[str]:
    rng = np.random.default_rng(20)
    scale = np.array([1.5, 1.0, 0.7, 0.4])
    verdicts = []
    for _ in range(100):
        ref = rng.normal(size=(N, D))
        a, b = (rng.normal(size=(N, D)) * scale + offset for offset in (0.1, 0.1 + shift))
        verdicts.append(gm.compare(measured("a", a, ref), measured("b", b, ref))["fid"].verdict)
    return verdicts


def test_two_samples_of_one_model_are_inconclusive():
    assert repeats(0.0).count("inconclusive") >= 93


def test_a_real_difference_is_found():
    """0.4 further off in each coordinate: 4 (0.5² - 0.1²) = 0.96 in the distance, whose error is about 0.13."""
    verdicts = repeats(0.4)
    assert verdicts.count("worse") >= 95
    assert "better" not in verdicts


def test_latents_in_common_make_a_small_difference_sure():
    """The same noise behind both, as of two checkpoints with one seed: unpaired nobody could tell."""
    rng = np.random.default_rng(21)
    found = {False: 0, True: 0}
    for _ in range(50):
        ref, noise = rng.normal(size=(N, D)), rng.normal(size=(N, D))
        a, b = measured("a", noise * 1.2, ref), measured("b", noise * 1.25, ref)
        for same_latents in found:
            found[same_latents] += gm.compare(a, b, same_latents=same_latents)["fid"].verdict == "worse"
    assert found[True] >= 45
    assert found[False] <= 25


def test_a_comparison_imports_neither_torch_nor_numpy(tmp_path):
    a = save(tmp_path / "a.json", result("a", fid=with_blocks(GEN_A, REF)))
    b = save(tmp_path / "b.json", result("b", fid=with_blocks(GEN_B, REF)))
    code = (
        f"import sys, genmetrics as gm; assert gm.compare({str(a)!r}, {str(b)!r})['fid'].verdict == 'better'\n"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
