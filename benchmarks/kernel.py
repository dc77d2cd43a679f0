"""KID on seeded random features: ours beside torch-fidelity's, whole sets and published subsets, on all cores in turn.

``kid`` is 100 subsets of 1,000, seed and draws as in torch-fidelity; up to some thousand images a pair's kernel is
computed once for all subsets, beyond that each subset computes its own. ``kid_full`` is of all pairs, with an error
bar; it is compared in time with the published subsets, and in value with all pairs in float64, some rows at a time.

    python benchmarks/kernel.py [--rounds 3] [--counts 5000 10000] [--width 2048]

Takes about four minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from drawn import agreement, matrix_product, pooled_features, product_share
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.metrics.kernel_full import full_kernel_distance
from harness import ROOT, compared, in_turn, save

sys.path.insert(0, str(ROOT / "tests"))
from support.peers import import_peer

OURS, FULL, PEER, PRODUCT = "genmetrics kid", "genmetrics kid_full", "torch-fidelity 0.4.0", "sgemm"
SUBSETS, SIZE, SEED = 100, 1000, 2020


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[5000, 10_000])
    parser.add_argument("--width", type=int, default=2048)
    arguments = parser.parse_args()
    rows = []
    for number, count in enumerate(arguments.counts):
        rows += measured(count, arguments.width, arguments.rounds, full=number == 0)
    save("kernel", "kernel distance of seeded random features; medians of rounds in turn", rows)


def measured(count: int, width: int, rounds: int, full: bool) -> list[dict[str, object]]:
    gen, ref = pooled_features(1, count, width, 0.1), pooled_features(2, count, width)
    by_peer = import_peer("torch_fidelity.metric_kid").kid_features_to_metric
    # What it takes by default, said once more.
    settings = {"kid_subsets": SUBSETS, "kid_subset_size": SIZE, "rng_seed": SEED, "verbose": False}
    cases = {
        OURS: lambda: float(kernel_distances(gen, ref, SUBSETS, SIZE, SEED).mean()),
        **({FULL: lambda: full_kernel_distance(gen, ref)} if full else {}),
        PEER: lambda: by_peer(gen, ref, **settings)["kernel_inception_distance_mean"],
        PRODUCT: matrix_product(torch.float32),
    }
    timings = in_turn(cases, rounds)
    # Halves within either set, and all pairs between them.
    of_subsets = 2.0 * width * 2 * min(count**2, SUBSETS * SIZE**2)
    in_float64 = by_peer(gen.double(), ref.double(), **settings)["kernel_inception_distance_mean"]
    where = f"{count} images a side, {width} dimensions"
    rows = [
        compared(
            f"KID, {SUBSETS} subsets of {SIZE}, {where}",
            timings,
            OURS,
            PEER,
            targets={"ratio": ">= 1.3"},
            **agreement(timings[OURS].output, timings[PEER].output),
            value_peer_float64=in_float64,
            difference_to_peer_in_float64=abs(timings[OURS].output - in_float64),
            **product_share(timings[PRODUCT], timings[OURS], of_subsets, "of pairs, each once, float32"),
        )
    ]
    if full:
        exact = all_pairs(gen.numpy(), ref.numpy())
        found = timings[FULL].output
        rows.append(
            compared(
                f"KID of all pairs with its error, beside {SUBSETS} subsets of {SIZE}, {where}",
                timings,
                FULL,
                PEER,
                targets={"ratio": ">= 5"},
                **agreement(found.value, exact),
                se=found.se,
                difference_in_se=abs(found.value - exact) / found.se,
                value_peer_is="all pairs in float64, computed in NumPy",
                **product_share(timings[PRODUCT], timings[FULL], 2.0 * width * 2 * count**2, "of pairs, each once"),
            )
        )
    return rows


def all_pairs(gen: np.ndarray, ref: np.ndarray) -> float:
    """Equation 4 of KID's paper in float64, some rows at a time."""

    def total(a: np.ndarray, b: np.ndarray) -> float:
        other = b.astype(np.float64).T
        return sum(float(((a[i : i + 500] @ other / len(other) + 1) ** 3).sum()) for i in range(0, len(a), 500))

    def diagonal(a: np.ndarray) -> float:
        return float(((np.square(a.astype(np.float64)).sum(axis=1) / a.shape[1] + 1) ** 3).sum())

    n, m = len(gen), len(ref)
    within = (total(gen, gen) - diagonal(gen)) / (n * (n - 1)) + (total(ref, ref) - diagonal(ref)) / (m * (m - 1))
    return within - 2 * total(gen, ref) / (n * m)


if __name__ == "__main__":
    main()
