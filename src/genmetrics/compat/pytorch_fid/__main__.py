"""``python -m genmetrics.compat.pytorch_fid A B``."""

from __future__ import annotations

from genmetrics.compat.pytorch_fid.fid_score import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
