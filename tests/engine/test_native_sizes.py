"""A preprocessing without a resize takes sets of images of several sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.extractors import EXTRACTORS
from support.blocks import NET, registered_blocks


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_images_of_several_sizes(smooth_images, tmp_path: Path, batch_size) -> None:
    sizes = [(20, 24), (32, 16), (20, 24), (40, 40), (20, 24), (32, 16), (20, 24)]
    for number, (height, width) in enumerate(sizes):
        image = smooth_images(1, height, width, seed=number)[0]
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    with registered_blocks(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXTRACTORS._entries, NET, replace(EXTRACTORS.get(NET), preprocess="native-sym"))
        stats = gm.compute_stats(tmp_path, ["kid"], extractor=NET, batch_size=batch_size)
        alone = [gm.compute_stats([tmp_path / f"{n}.png"], ["kid"], extractor=NET) for n in range(len(sizes))]
    rows = next(iter(stats.accumulators.values())).rows()
    expected = torch.cat([next(iter(each.accumulators.values())).rows() for each in alone])
    np.testing.assert_allclose(rows.numpy(), expected.numpy(), rtol=1e-6)
    assert len(set(rows[:, 0].tolist())) == len(sizes)
