"""Run a peer's command line: ``python tests/support/run_peer.py MODULE [ARGUMENT ...]``.

The same as ``python -m MODULE [ARGUMENT ...]``, also where torchvision has no build for this torch.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

    from support.peers import declare_torchvision_operators

    declare_torchvision_operators()
    sys.argv = sys.argv[1:]
    # As `python -m` does: the current folder first, and not the tests' own.
    sys.path[0] = ""
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
