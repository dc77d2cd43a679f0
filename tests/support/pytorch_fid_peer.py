"""What tests beside the original pytorch-fid share: its modules, its warnings, and the exact number to its features."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from support.peers import import_peer

__all__ = ["RUNNER", "exact_frechet", "original", "original_network", "peer_warnings", "relative"]

original = import_peer("pytorch_fid.fid_score")
original_network = import_peer("pytorch_fid.inception")

#: Runs the original's command: ``[*RUNNER, "A", "B"]``.
RUNNER = (sys.executable, str(Path(__file__).with_name("run_peer.py")), "pytorch_fid")


@contextmanager
def peer_warnings() -> Iterator[None]:
    """Inside, the original may do what SciPy warns of: pass sqrtm an old argument, and singular products."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "Matrix is singular", RuntimeWarning)
        yield


def exact_frechet(sides: Sequence[np.ndarray]) -> float:
    """The distance of two sets of features, by the nuclear norm of their cross-Gram matrix, in NumPy alone."""
    gen, ref = (side.astype(np.float64) for side in sides)
    rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (gen, ref)]
    overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap)


def relative(ours: float, theirs: float) -> float:
    """How far ours is from theirs, relative to theirs; printed for whoever looks."""
    error = abs(ours - theirs) / abs(theirs)
    print(f"ours {ours!r}, theirs {theirs!r}, relative {error:.1e}")
    return error
