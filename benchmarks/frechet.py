"""Fréchet distance at 2,048 dimensions beside SciPy's square root (pytorch-fid) and eigenvalues (torch-fidelity).

From the moments of 5,000 images a side, where every tool is given means and covariances in float64, and from the
features of 1,000 a side: ours keeps them as rows and starts from those, the peers from the covariances that they make
of them, and both make their statistics inside the clock. Seeded random features (``drawn.py``). Each tool runs once
for warming up and ``--rounds`` times, in turn, on all cores.

    python benchmarks/frechet.py [--rounds 3] [--counts 5000 1000] [--width 2048]

Takes about four minutes on two cores, most of them in the peers.
"""

from __future__ import annotations

import argparse
import sys
import warnings

import numpy as np
import torch

from drawn import agreement, matrix_product, pooled_features, product_share
from genmetrics.accumulators.moments import Moments
from genmetrics.linalg import nuclear_norm_by_squares
from genmetrics.metrics.frechet import frechet_distance
from harness import ROOT, compared, in_turn, save

sys.path.insert(0, str(ROOT / "tests"))
from support.peers import import_peer

OURS, SCIPY, EIGENVALUES, PRODUCT = "genmetrics", "pytorch-fid 0.3.0", "torch-fidelity 0.4.0", "dgemm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[5000, 1000])
    parser.add_argument("--width", type=int, default=2048)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    rows = [row for count in arguments.counts for row in measured(count, arguments.width, arguments.rounds)]
    save("frechet", "Fréchet distance of seeded random features; medians of rounds in turn", rows)


def measured(count: int, width: int, rounds: int) -> list[dict[str, object]]:
    sides = [pooled_features(1, count, width, 0.1), pooled_features(2, count, width)]
    by_scipy = import_peer("pytorch_fid.fid_score").calculate_frechet_distance
    by_eigenvalues = import_peer("torch_fidelity.metric_fid").fid_statistics_to_metric
    doubles = [side.double().numpy() for side in sides]
    given = [(side.mean(axis=0), np.cov(side, rowvar=False)) for side in doubles]
    full_rank = count > width

    def statistics() -> list[tuple[np.ndarray, np.ndarray]]:
        # Below full rank ours starts from the features, and so do they.
        return given if full_rank else [(side.mean(axis=0), np.cov(side, rowvar=False)) for side in doubles]

    def ours() -> float:
        return frechet_distance(*(moments() for moments in makers))

    makers = [
        (lambda mean=mean, sigma=sigma: Moments.from_covariance(torch.from_numpy(mean), torch.from_numpy(sigma), count))
        if full_rank
        else (lambda side=side: moments_of(side))
        for (mean, sigma), side in zip(given, sides, strict=True)
    ]

    def scipy() -> float:
        (mu, sigma), (mu_ref, sigma_ref) = statistics()
        return float(by_scipy(mu, sigma, mu_ref, sigma_ref))

    def eigenvalues() -> float:
        pair = [{"mu": mu, "sigma": sigma} for mu, sigma in statistics()]
        return by_eigenvalues(*pair, verbose=False)["frechet_inception_distance"]

    cases = {OURS: ours, EIGENVALUES: eigenvalues, SCIPY: scipy, PRODUCT: matrix_product(torch.float64)}
    timings = in_turn(cases, rounds)
    rank = min(count, width)
    # Of two factors, and of their product with itself, of which one half is enough.
    operations = 2.0 * rank * rank * width + 1.0 * rank**3
    factors = [make().factor() for make in makers]
    found = nuclear_norm_by_squares(factors[0] @ factors[1].T)
    what = f"Fréchet distance, {count} a side, {width} dimensions, from {'moments' if full_rank else 'features'}"
    return [
        compared(
            what,
            timings,
            OURS,
            peer,
            **agreement(timings[OURS].output, timings[peer].output),
            targets={"ratio": f">= {2 if peer == EIGENVALUES else 8 if full_rank else 40}"},
            bound_on_squares_error=2 * found.error / timings[OURS].output,
            **product_share(timings[PRODUCT], timings[OURS], operations, "F·Gᵀ and half of its square, float64"),
        )
        for peer in (SCIPY, EIGENVALUES)
    ]


def moments_of(features: torch.Tensor) -> Moments:
    moments = Moments(features.shape[1])
    moments.update(features, torch.arange(len(features)))
    return moments


if __name__ == "__main__":
    main()
