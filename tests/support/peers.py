"""Other people's metric code: importing it where torchvision has no build for this torch.

The peers import torchvision, which registers shape functions for operators of its compiled half at import. With
a torch of another build that half does not load and the import fails. The peers use none of these operators, so
declaring them is enough.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

__all__ = ["PEERS", "declare_torchvision_operators", "import_peer"]

#: The releases that the conformance tests state their tolerances for.
PEERS = {
    "cleanfid": "clean-fid 0.1.35",
    "clip": "openai-clip 1.0.1",
    "clip_mmd": "clip-mmd 0.0.2",
    "lpips": "lpips 0.1.4",
    "open_clip": "open_clip_torch 3.3.0",
    "ot": "POT 0.9.7.post1",
    "piq": "piq 0.8.0",
    "prdc": "prdc 0.2",
    "pytorch_fid": "pytorch-fid 0.3.0",
    "timm": "timm 1.0.31",
    "torch_fidelity": "torch-fidelity 0.4.0",
    "torchmetrics": "torchmetrics 1.9.0",
    "torchvision": "torchvision 0.28.0",
    "transformers": "transformers 5.24.0",
    "vendi_score": "vendi-score 0.0.3",
}

# The declarations last as long as this object.
_declared: list[torch.library.Library] = []


def declare_torchvision_operators() -> None:
    """Make ``import torchvision`` work beside any torch; nothing to do where its compiled half loads."""
    if _declared or _compiled_half_loads():
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def import_peer(name: str) -> ModuleType:
    """Import a module of a peer, or skip the tests that ask for it if the peer is not installed.

    Args:
        name: such as ``torch_fidelity.metric_kid``.
    """
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        import pytest

        pytest.skip(
            f"{PEERS[package]} is not installed; install the peers with pip install 'genmetrics[peers]'",
            allow_module_level=True,
        )
    declare_torchvision_operators()
    return importlib.import_module(name)


def _compiled_half_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    libraries = [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")] if spec is not None else []
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)
