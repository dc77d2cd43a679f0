"""torchmetrics' image metrics of generative models on our engine, as subclasses of ``torchmetrics.Metric``.

``from torchmetrics.image.fid import FrechetInceptionDistance`` becomes
``from genmetrics.compat.torchmetrics.image.fid import FrechetInceptionDistance``; docs/compat/torchmetrics.md has the
rest. This is the one package of genmetrics that imports torchmetrics.
"""

from __future__ import annotations

from importlib.util import find_spec

from genmetrics.errors import DependencyError

__all__: list[str] = []

if find_spec("torchmetrics") is None:
    raise DependencyError(
        "genmetrics.compat.torchmetrics has subclasses of torchmetrics.Metric and needs torchmetrics; install it with "
        "'pip install torchmetrics'. Without it, genmetrics.Evaluator measures in a training loop"
    )
