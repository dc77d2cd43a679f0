"""What the tests of the official scripts' drop-ins share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.extractors.inception_graph import inception_state_dict
from support.tensorflow_goldens import load, smooth_image, write_graph


@pytest.fixture(scope="session")
def graph_folder(tmp_path_factory) -> Path:
    """The folder of ``classify_image_graph_def.pb``, as ``-i`` takes it: the graph that the goldens are of."""
    return write_graph(tmp_path_factory.mktemp("inception")).parent


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """What TensorFlow 2.21.0 gave for four images: ``2048`` and ``logits_unbiased`` among others."""
    return load("inception.npz")


@pytest.fixture(scope="session")
def golden_images(golden) -> list[np.ndarray]:
    """These images, (h, w, 3) uint8 of four sizes."""
    return [
        smooth_image(int(seed), height, width)
        for seed, (height, width) in zip(golden["seed"], golden["size"].tolist(), strict=True)
    ]


NAME = "pt_inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="session")
def random_published(tmp_path_factory, inception_weights) -> Path:
    """A folder in which random weights have the published name."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copyfile(inception_weights, folder / NAME)
    return folder


@pytest.fixture(scope="session")
def golden_published(tmp_path_factory, graph_folder) -> Path:
    """A folder in which the goldens' weights have it."""
    folder = tmp_path_factory.mktemp("published-golden")
    torch.save(inception_state_dict(graph_folder / "classify_image_graph_def.pb"), folder / NAME)
    return folder


@pytest.fixture
def published(random_published, monkeypatch) -> Path:
    """Random weights where the published ones are looked for."""
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(random_published))
    monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
    return random_published / NAME


@pytest.fixture
def graph_weights(golden_published, monkeypatch) -> Path:
    """The goldens' weights there."""
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(golden_published))
    monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
    return golden_published / NAME
