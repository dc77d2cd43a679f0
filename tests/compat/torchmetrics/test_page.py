"""The code on docs/compat/torchmetrics.md runs as it stands there."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import genmetrics as gm
from genmetrics.metrics import METRICS

PAGE = Path(__file__).parents[3] / "docs" / "compat" / "torchmetrics.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")
def test_the_examples(ours, inception_weights, images, tmp_path, monkeypatch, capsys):
    name = "weights-inception-2015-12-05-6726825d.pth"
    (tmp_path / name).symlink_to(inception_weights)
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
    assert len(BLOCKS) == 2
    exec(BLOCKS[0], {"real_images": images(3, 1), "fake_images": images(3, 2)})

    class Made(torch.nn.Module):
        def forward(self, count):
            return torch.rand(count, 3, 16, 16)

    loader = list((images(4, 1, size=(16, 16)) / 255).split(2))
    exec(BLOCKS[1], {"generator": Made(), "loader": loader, "train": lambda model: None})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]
    assert all(float(line.split()[1]) > 0 for line in lines)


@pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")
def test_the_number_is_our_own(ours, inception_weights, images):
    """Of FID and MiFID, without antialiasing."""
    real, fake = images(3, 1), images(3, 2, warmth=1.0)
    options = {"weights": {"inception-v3.tf2015": inception_weights}, "device": "cpu", "cache": False}
    mifid = replace(METRICS.get("mifid_torchmetrics"), id="mifid_64", feature="64")
    report = gm.evaluate(fake, real, ["fid_64", mifid], **options)
    for metric, name in (
        (ours.FrechetInceptionDistance, "fid_64"),
        (ours.MemorizationInformedFrechetInceptionDistance, "mifid_64"),
    ):
        for antialias in (False, True):
            found = metric(64, feature_extractor_weights_path=inception_weights, antialias=antialias)
            found.update(real, real=True)
            found.update(fake, real=False)
            near = pytest.approx(report[name].value, rel=1e-3 if antialias else 1e-6)
            assert (float(found.compute()) == near) is not antialias


def test_every_argument_is_in_the_table(ours):
    text = PAGE.read_text()
    for name in (
        "FrechetInceptionDistance",
        "KernelInceptionDistance",
        "InceptionScore",
        "MemorizationInformedFrechetInceptionDistance",
    ):
        for argument in inspect.signature(getattr(ours, name)).parameters:
            assert f"`{argument}`" in text or argument == "kwargs", argument
