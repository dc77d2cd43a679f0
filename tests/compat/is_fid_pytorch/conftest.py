"""What the tests of this drop-in share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def score_weights(tmp_path_factory, inception_torchvision_weights):
    """Random weights under the published name, as ``ScoreModel`` finds them; nothing can be given to it."""
    folder: Path = tmp_path_factory.mktemp("published")
    path = folder / "inception_v3_google-0cc3c7bd.pth"
    shutil.copyfile(inception_torchvision_weights, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMETRICS_WEIGHTS", str(folder))
        patch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        yield path
