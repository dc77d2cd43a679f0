"""Settings that cannot be meant are refused, each by its name."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
import torch

from genmetrics.engine.evaluate import compute_stats, evaluate
from genmetrics.engine.evaluator import Evaluator
from genmetrics.engine.options import Options
from genmetrics.errors import UsageError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "fp32"}, r"^precision 'fp32': did you mean 'tf32'\?$"),
        ({"precision": "half"}, r"^precision 'half': known: bf16, exact, tf32$"),
        ({"backend": "openvin"}, r"^backend 'openvin': did you mean 'openvino'\?$"),
        ({"alpha": "whte"}, r"^alpha 'whte': did you mean 'white'\?$"),
        ({"decode": "gpuu"}, r"^decode 'gpuu': did you mean 'gpu'\?$"),
        ({"on_bad_image": "skp"}, r"^on_bad_image 'skp': did you mean 'skip'\?$"),
        ({"batch_size": 0}, r"^batch_size 0: expected at least 1$"),
        ({"batch_size": 1.5}, r"^batch_size 1.5: expected a whole number$"),
        ({"seed": True}, r"^seed True: expected a whole number$"),
        ({"workers": -1}, r"^workers -1: expected at least 0$"),
        ({"num": 0}, r"^num 0: expected at least 1$"),
        ({"labels": {"generated": "none"}}, r"^labels of side 'generated': known: gen, ref$"),
        (
            {"labels": {"gen": [0, 1]}},
            r"^labels of side 'gen' is a list; expected auto, folders, none, or the path of a ",
        ),
        ({"labels": [0, 1]}, r"^labels is a list; expected auto, .*: numpy\.save\('labels\.npy', labels\) writes one"),
        ({"crop": "centre-3"}, r"^unknown crop 'centre-3'; expected <algorithm>-<size>"),
        ({"seed": -1}, r"^seed -1: expected at least 0 and at most 4294967295$"),
        ({"seed": 2**32}, r"^seed 4294967296: expected at least 0 and at most 4294967295$"),
    ],
    ids=str,
)
def test_refused(given: dict, message: str) -> None:
    options = Options()
    for name, value in given.items():
        # Past the type checks that tests put around the constructor, which users do not have.
        object.__setattr__(options, name, value)
    with pytest.raises(UsageError, match=message):
        options.__post_init__()


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("seed", -1), ("num", 0), ("workers", -1)])
def test_refused_when_made(name: str, value: int) -> None:
    with pytest.raises(UsageError, match=rf"^{name} {value}: expected at least"):
        Options(**{name: value})


@pytest.mark.parametrize(
    "given",
    [
        {"seed": 0},
        {"seed": 2**32 - 1},
        {"workers": 0},
        {"batch_size": 1},
        {"num": 1},
        {"precision": "tf32", "alpha": "black", "on_bad_image": "skip"},
    ],
    ids=str,
)
def test_limits_are_inside(given: dict) -> None:
    options = Options(**given)
    assert {name: getattr(options, name) for name in given} == given


def test_defaults_that_change_numbers() -> None:
    """torch-fidelity's seed, float32, transparency dropped as Pillow does, every image read."""
    options = Options()
    assert (options.seed, options.precision, options.alpha) == (2020, "exact", "drop")
    assert (options.on_bad_image, options.num) == ("error", None)


@pytest.mark.parametrize("entry", [evaluate, compute_stats, Evaluator.__init__], ids=lambda entry: entry.__qualname__)
def test_entry_points_take_their_defaults_from_here(entry) -> None:
    defaults = {field.name: getattr(Options(), field.name) for field in fields(Options)}
    shared = {
        name: parameter.default for name, parameter in inspect.signature(entry).parameters.items() if name in defaults
    }
    assert len(shared) >= 6
    if entry is compute_stats:  # of a file that is kept: blocks take room
        assert shared.pop("error_bars") == "off"
    for name, default in shared.items():
        assert default == (None if name == "weights" else defaults[name]), name


def test_unknown_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'batchsize'"):
        evaluate("a", "b", batchsize=3)


def test_batches_by_device():
    assert Options().batch_size_on(torch.device("cpu")) == 32
    assert Options().batch_size_on(torch.device("cuda", 1)) == 128
    assert Options(batch_size=5).batch_size_on(torch.device("cuda")) == 5
