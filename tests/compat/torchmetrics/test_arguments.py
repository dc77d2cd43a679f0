"""What is refused, by torchmetrics 1.9.0 and by us alike, and what is imported when.

In processes of their own, where shapes and types are not enforced as in all other tests.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
WRONG = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.append({tests!r})
from support.colours import Colours
from support.peers import import_peer
theirs, ours = import_peer("torchmetrics.image"), import_peer("genmetrics.compat.torchmetrics.image")
theirs = {{name: getattr(__import__("torchmetrics.image." + module, fromlist=[name]), name) for name, module in {{
    "FrechetInceptionDistance": "fid", "KernelInceptionDistance": "kid", "InceptionScore": "inception",
    "MemorizationInformedFrechetInceptionDistance": "mifid"}}.items()}}
class Told(Colours):
    num_features = "27"
cases = [
    ("FrechetInceptionDistance", dict(feature="2048")),
    ("FrechetInceptionDistance", dict(feature=2.5)),
    ("FrechetInceptionDistance", dict(feature=100)),
    ("FrechetInceptionDistance", dict(feature=True)),
    ("FrechetInceptionDistance", dict(feature=Told())),
    ("FrechetInceptionDistance", dict(feature=Colours(), normalize=1)),
    ("FrechetInceptionDistance", dict(feature=Colours(), reset_real_features="no")),
    ("FrechetInceptionDistance", dict(feature=Colours(), compute_on_cpu="yes")),
    ("FrechetInceptionDistance", dict(feature=Colours(), dist_sync_on_step=1)),
    ("FrechetInceptionDistance", dict(feature=Colours(), sync_on_compute=1)),
    ("FrechetInceptionDistance", dict(feature=Colours(), dist_sync_fn=1)),
    ("FrechetInceptionDistance", dict(feature=Colours(), compute_with_cache=1)),
    ("KernelInceptionDistance", dict(feature=[64])),
    ("KernelInceptionDistance", dict(feature="logits")),
    ("KernelInceptionDistance", dict(feature=Colours(), subsets=2.5)),
    ("KernelInceptionDistance", dict(feature=Colours(), subset_size="10")),
    ("KernelInceptionDistance", dict(feature=Colours(), degree=3.0)),
    ("KernelInceptionDistance", dict(feature=Colours(), gamma="auto")),
    ("KernelInceptionDistance", dict(feature=Colours(), coef=1)),
    ("KernelInceptionDistance", dict(feature=Colours(), normalize=None)),
    ("KernelInceptionDistance", dict(feature=Colours(), reset_real_features=0)),
    ("InceptionScore", dict(feature=None)),
    ("InceptionScore", dict(feature=1008)),
    ("InceptionScore", dict(feature=Colours(), normalize="no")),
    ("MemorizationInformedFrechetInceptionDistance", dict(feature="64")),
    ("MemorizationInformedFrechetInceptionDistance", dict(feature=Colours(), cosine_distance_eps=1)),
    ("MemorizationInformedFrechetInceptionDistance", dict(feature=Colours(), normalize=0)),
]
def kinds(make, arguments):
    try:
        make(**arguments)
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error)
    return [], ""
print(json.dumps([[name, repr(arguments), kinds(theirs[name], arguments), kinds(getattr(ours, name), arguments)]
                  for name, arguments in cases]))
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def refused(original):
    return json.loads(run(WRONG.format(tests=str(TESTS))).splitlines()[-1])


def test_both_refuse_the_same_with_errors_of_one_kind(refused):
    assert len(refused) == 27
    for name, arguments, (theirs, _), (ours, text) in refused:
        assert theirs, f"{name} of torchmetrics takes {arguments}"
        assert theirs[0] in ours, f"{name}({arguments}): {theirs[0]} and {ours}"
        own = not any(option in arguments for option in ("compute", "dist_sync", "sync_on"))  # torchmetrics' own texts
        assert ("GenmetricsError" in ours) is own, text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("{'feature': '2048'}", "feature is '2048', expected one of 64, 192, 768, 2048 or a torch.nn.Module"),
        (
            "{'feature': [64]}",
            "feature is [64], expected one of 'logits_unbiased', 64, 192, 768, 2048 or a torch.nn.Module",
        ),
        ("'normalize': 1}", "normalize is 1, expected True or False"),
        ("'reset_real_features': 'no'}", "reset_real_features is 'no', expected True or False"),
        ("'coef': 1}", "coef is 1, expected a float larger than 0"),
        ("num_features", "num_features of the network is '27', expected a whole number or a tensor of one"),
    ],
)
def test_texts(refused, arguments, text):
    told = [ours for _, given, _, (_, ours) in refused if arguments in given or arguments in ours]
    assert text in told


@pytest.mark.parametrize(
    "name",
    [
        "FrechetInceptionDistance",
        "KernelInceptionDistance",
        "InceptionScore",
        "MemorizationInformedFrechetInceptionDistance",
    ],
)
def test_arguments_and_defaults_are_torchmetrics(original, ours, name):
    """In its order; ours has two more for the weights and the resize, by keyword, where torchmetrics has none."""
    theirs, found = (inspect.signature(getattr(side, name).__init__).parameters for side in (original, ours))
    given = [(key, parameter.default, parameter.kind) for key, parameter in theirs.items() if key != "kwargs"]
    more = [key for key in found if key not in theirs]
    assert [(key, p.default, p.kind) for key, p in found.items() if key in theirs and key != "kwargs"] == given
    assert more == ([] if name.startswith("Frechet") else ["feature_extractor_weights_path", "antialias"])
    assert all(found[key].kind is inspect.Parameter.KEYWORD_ONLY for key in more)
    for method in ("update", "compute", "reset", "plot", "set_dtype"):
        theirs, found = (
            inspect.signature(getattr(getattr(side, name), method)).parameters for side in (original, ours)
        )
        assert [(key, p.default) for key, p in found.items()] == [(key, p.default) for key, p in theirs.items()]


class TestImports:
    def test_without_torchmetrics(self):
        code = """
import sys
sys.modules["torchmetrics"] = None
import genmetrics, genmetrics.compat
from genmetrics.errors import DependencyError
try:
    from genmetrics.compat.torchmetrics.image.fid import FrechetInceptionDistance
except DependencyError as error:
    print(error, isinstance(error, ImportError))
"""
        assert run(code) == (
            "genmetrics.compat.torchmetrics has subclasses of torchmetrics.Metric and needs torchmetrics; install it "
            "with 'pip install torchmetrics'. Without it, genmetrics.Evaluator measures in a training loop True\n"
        )

    def test_genmetrics_does_not_import_it(self):
        code = "import sys, genmetrics, genmetrics.compat; genmetrics.Evaluator; print('torchmetrics' in sys.modules)"
        assert run(code) == "False\n"

    def test_modules_are_named_as_torchmetrics(self, ours):
        from genmetrics.compat.torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
        from genmetrics.compat.torchmetrics.image.inception import InceptionScore
        from genmetrics.compat.torchmetrics.image.kid import KernelInceptionDistance
        from genmetrics.compat.torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

        assert ours.FrechetInceptionDistance is FrechetInceptionDistance and ours.Network is NoTrainInceptionV3
        assert ours.KernelInceptionDistance is KernelInceptionDistance and ours.InceptionScore is InceptionScore
        assert ours.MemorizationInformedFrechetInceptionDistance is MemorizationInformedFrechetInceptionDistance
