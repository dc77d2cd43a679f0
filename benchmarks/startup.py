"""Start-up: help and listing of our command and imports of our package, beside the peers', as processes.

    python benchmarks/startup.py [--rounds 7]

About a minute.
"""

from __future__ import annotations

import argparse
import sys

from harness import compared, processes_in_turn, save
from inputs import TESTS

OURS = [sys.executable, "-m", "genmetrics"]
PEER = [sys.executable, str(TESTS / "support" / "run_peer.py")]
# Peers import torchvision, which may have no build for this torch, see the module.
DECLARED = (
    f"import sys; sys.path.insert(0, {str(TESTS)!r}); from support.peers import declare_torchvision_operators as d; d()"
)
CASES = {
    "genmetrics --help": [*OURS, "--help"],
    "genmetrics list metrics": [*OURS, "list", "metrics"],
    "import genmetrics": [sys.executable, "-c", "import genmetrics"],
    "fidelity --help": [*PEER, "torch_fidelity.fidelity", "--help"],
    "python -m pytorch_fid --help": [*PEER, "pytorch_fid", "--help"],
    "import torchmetrics.image.fid": [sys.executable, "-c", f"{DECLARED}; import torchmetrics.image.fid"],
    "import torch": [sys.executable, "-c", "import torch"],
}
#: Ours, a peer, and what is to be reached.
PAIRS: list[tuple[str, str, dict[str, str]]] = [
    ("genmetrics --help", "fidelity --help", {"ratio": ">= 6"}),
    ("genmetrics --help", "python -m pytorch_fid --help", {}),
    ("genmetrics list metrics", "fidelity --help", {}),
    ("import genmetrics", "import torchmetrics.image.fid", {"ours.seconds_median": "< 0.1"}),
    ("import genmetrics", "import torch", {}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    timings = processes_in_turn(CASES, arguments.rounds, warmup=1)
    rows = [
        compared(f"start-up: {ours} beside {peer}", timings, ours, peer, targets=targets)
        for ours, peer, targets in PAIRS
    ]
    save("startup", "whole processes that do nothing but start, files in the page cache", rows)


if __name__ == "__main__":
    main()
