"""One set of random weights where the original and ours both look for the published file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

PUBLISHED = "pt_inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="module", autouse=True)
def hub(inception_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The checkpoint folder of torch's hub, for this module's tests alone, with the weights in it; and a cache."""
    home = tmp_path_factory.mktemp("hub")
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / PUBLISHED).symlink_to(inception_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        # Each folder goes through the network once for each layer.
        patch.setenv("GENMETRICS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield checkpoints
