"""``python -m genmetrics.compat.is_fid_pytorch --path A --fid B``."""

from __future__ import annotations

from genmetrics.compat.is_fid_pytorch.command import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
