"""magic-research/vector_quantization: ``vq.fid``, ``auto_torchrun``, its tools, its metric, and todd's FID.

====================================================  ======================================================
there                                                 here, behind ``genmetrics.compat.vq``
====================================================  ======================================================
``auto_torchrun -m vq.fid imagenet``                  ``auto_torchrun`` and ``fid``, to be run with ``python -m``
``tools/fid.py``, ``tools/fidelity.py``               ``tools.fid``, ``tools.fidelity``
``vq.runners.metrics.FIDMetric``                      ``runners.metrics.FIDMetric``
``todd.tasks.image_generation``                       ``image_generation``
====================================================  ======================================================

docs/compat/vq-fid.md says what is equal and what is not.
"""

from __future__ import annotations

__all__: list[str] = []
