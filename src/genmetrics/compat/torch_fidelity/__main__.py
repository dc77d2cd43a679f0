"""``python -m genmetrics.compat.torch_fidelity`` is torch-fidelity's command ``fidelity``."""

from __future__ import annotations

from genmetrics.compat.torch_fidelity.fidelity import main

__all__: list[str] = []

main()
