"""``tools/fidelity.py``: against torch-fidelity 0.4.0 on the images that the original gives it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from compat.vq.conftest import exact_fid, vq_image, waves
from genmetrics.compat.vq.pixels import RoundTrip, decode, encode
from genmetrics.compat.vq.tools.fidelity import main
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.folder import FolderSource
from genmetrics.types import Shard
from support.peers import import_peer

Said = Callable[[], tuple[str, str]]
CPU = ["--strategy", "cpu"]


def theirs(home: Path, weights: Path, change: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """torch-fidelity's features and score of what the original hands to it.

    Its FID of so few images is noise from 1e-4 on, and takes a minute; of its features the exact one is had.
    """
    utils, score = import_peer("torch_fidelity.utils"), import_peer("torch_fidelity.metric_isc")
    network = utils.create_feature_extractor(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        cuda=False,
        verbose=False,
        feature_extractor_weights_path=str(weights),
    )
    pooled = []
    for folder in ("few", "many"):
        images = torch.stack([change(vq_image(path)) for path in sorted((home / folder).glob("*.png"))])
        with torch.no_grad():
            features, logits = network(images)
        pooled.append(features.numpy())
    found = score.isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=2020)
    return {**found, "frechet_inception_distance": exact_fid(*pooled)}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, vq_home: Path) -> Path:
    """Twenty images, two for each of the Inception Score's splits, beside the others."""
    home = tmp_path_factory.mktemp("fidelity")
    for name in ("pretrained", "samples", "few"):
        (home / name).symlink_to(vq_home / name)
    (home / "many").mkdir()
    for number in range(20):
        Image.fromarray(waves(64, 48, 300 + number)).save(home / f"many/{number}.png")
    return home


@pytest.fixture
def there(many: Path, vq_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(many)
    monkeypatch.setenv("GENMETRICS_CACHE", str(vq_home / "cache"))
    return many


def values(out: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(\w+): (\S+)$", out, re.MULTILINE)}


class TestAgainstTorchFidelity:
    """Score and distance to 1e-5 relative (reached: 7e-7), the spread to 1e-5; of other pixels all are further off."""

    @pytest.mark.parametrize("round_trip", [True, False])
    def test_the_numbers(self, round_trip: bool, there: Path, inception_weights: Path, said: Said) -> None:
        asked = ["--round-trip"] if round_trip else []
        main(["few", "many", *CPU, "--work-dir", "work", *asked])
        out, log = said()
        found = values(out)
        expected = theirs(there, inception_weights, lambda x: decode(encode(x)) if round_trip else x)
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-5 if name.endswith("std") else 0)
        assert ("pixels went through vq's encode and decode" in log) == round_trip
        *_, stamp, arguments, metrics = Path("work/torch_fidelity.txt").read_text().splitlines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d .*", stamp)
        ours = ", strategy='cpu'" + (", round_trip=True" if round_trip else "")
        assert arguments == (
            "args=Namespace(dataset='few', data_root='many', train=False, override1={}, override2={}, "
            f"metrics=['fid', 'isc'], work_dir=PosixPath('work'){ours})"
        )
        assert metrics == f"metrics={found!r}"

    def test_two_runs_append_and_differ(self, there: Path) -> None:
        """After the two above, of which each is the other's negative control."""
        lines = Path("work/torch_fidelity.txt").read_text().splitlines()
        assert len(lines) == 6
        changed, plain = (ast.literal_eval(line.removeprefix("metrics=")) for line in lines[2::3])
        for name, value in changed.items():
            assert plain[name] != pytest.approx(value, rel=1e-4)


class TestOptions:
    def test_the_score_alone_reads_no_reference(self, there: Path, said: Said) -> None:
        main(["few", "many", *CPU, "--metrics", "isc"])
        out, log = said()
        assert list(values(out)) == ["inception_score_mean", "inception_score_std"]
        assert "few, " not in log

    def test_overrides(self, there: Path, said: Said) -> None:
        for given, text in (
            (["--override1", ".name:x"], "--override1 '.name:x': no such key here; known: .split"),
            (["--override2", ".dataloader.batch_size:3"], "no such key here; known: .access_layer.suffix"),
            (["--override1", ".split:train"], "unknown dataset 'few:train'"),
            (["--override2", ".access_layer.suffix:jpg"], "folder 'many' holds no '*.jpg'"),
            (["--train"], "--train was given with the path 'few'"),
        ):
            with pytest.raises(SystemExit, match="2"):
                main(["few", "many", *CPU, *given])
            assert text in said()[1]

    def test_an_unknown_metric(self, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["imagenet", "many", "--metrics", "ppl"])
        assert "invalid choice: 'ppl'" in said()[1]

    def test_kid_and_precision(
        self, there: Path, vgg16_weights: Path, monkeypatch: pytest.MonkeyPatch, said: Said
    ) -> None:
        """The other two that torch-fidelity has; their numbers are tested where they are made."""
        asked = {}

        def evaluate(*sides: object, **given: object) -> None:
            asked.update(metrics=sides[2], **given)
            raise KeyboardInterrupt

        monkeypatch.setattr("genmetrics.engine.evaluate.evaluate", evaluate)
        with pytest.raises(SystemExit, match="130"):
            main(["few", "many", *CPU, "--metrics", "prc", "kid"])
        assert asked["metrics"] == ["kid", "prc"]
        assert (asked["alpha"], asked["crop"]) == ("white", "pil-bicubic-256")
        with pytest.raises(SystemExit, match="130"):
            main(["few", "many", *CPU, "--metrics", "prc"])
        assert asked["weights"] is None  # the network is another


class TestRoundTrip:
    def test_63_levels_are_one_lower(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8)
        changed = levels.int() - decode(encode(levels)).int()
        assert (int(changed.sum()), int(changed.max()), int(changed.min())) == (63, 1, 0)

    def test_the_source(self, vq_home: Path) -> None:
        source = FolderSource(vq_home / "samples")
        wrapped = RoundTrip(source)
        spec = BatchSpec(crop="pil-bicubic-256")
        (plain,), (found,) = (list(one.batches(Shard(), spec)) for one in (source, wrapped))
        np.testing.assert_array_equal(found.images.numpy(), decode(encode(plain.images)).numpy())
        assert found.hashes is None, "the pixels are others"
        assert found.origins == plain.origins
        assert {origin.format for origin in found.origins or ()} == {"PNG"}
        assert (len(wrapped), wrapped.names()) == (len(source), source.names())
        assert wrapped.fingerprint().digest != source.fingerprint().digest
        assert wrapped.identity() != source.identity()
