"""Two processes that share the images show what one process shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.figures import difference
from support.ranks import two_and_one

WORKER = Path(__file__).with_name("diagnostics_worker.py")
CASES = ("in memory", "spread", "a part, in memory", "a part, spread")
GALLERIES = ("raises", "unrealistic", "uncovered", "copied")


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, smooth_images: Callable[..., np.ndarray]
) -> dict[str, dict[str, Any]]:
    """What both of two processes and the one of one wrote; all three run at the same time."""
    folder = tmp_path_factory.mktemp("diagnostics")
    for side, count, seed in (("gen", 41, 1), ("ref", 33, 2)):
        for number, image in enumerate(smooth_images(count, 16, 16, seed=seed)):
            home = folder / side / ("a" if number % 3 else "b")
            home.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(home / f"{number:03d}.png")
    places = two_and_one(WORKER, folder)
    return {
        name: json.loads((folder / f"found-{rank}-of-{world_size}.json").read_text())
        for name, (rank, world_size) in places.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_two_processes_show_what_one_shows(found, case):
    expected = found["alone"][case]["report"]
    for section in GALLERIES:
        assert expected["diagnostics"][section]["pictures"], section
        assert all(picture["image"] and picture["name"] for picture in expected["diagnostics"][section]["pictures"])
    assert expected["diagnostics"]["classes"]["class"] == ["a", "b"]
    for name in ("first", "second"):
        report = found[name][case]["report"]
        assert difference(report["diagnostics"], expected["diagnostics"]) < 1e-6
        assert report["notes"] == expected["notes"]
        assert bool(report["notes"]) == case.startswith("a part")
    assert found["first"][case]["report"]["diagnostics"] == found["second"][case]["report"]["diagnostics"]


def test_banks_are_spread_where_they_are_to_be(found):
    """Else the comparison above is of one and the same."""
    for case in CASES:
        for name in ("first", "second"):
            assert found[name][case]["spread"] == [case.endswith("spread")] * 2, case


def test_only_the_first_process_reads_images_again(found):
    assert {case: found["first"][case]["read"] for case in CASES} == dict.fromkeys(CASES, 2)
    assert {case: found["second"][case]["read"] for case in CASES} == dict.fromkeys(CASES, 0)


def test_a_part_shows_others_than_the_whole(found):
    whole, part = (found["alone"][case]["report"]["diagnostics"] for case in ("in memory", "a part, in memory"))
    assert (whole["copied"]["of"], part["copied"]["of"]) == (41, 25)
    assert difference(whole["copied"], part["copied"]) > 1e-3
