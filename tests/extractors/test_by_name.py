"""Networks that nobody registered: ``hf:`` and ``python:``."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.engine.plan import computable
from genmetrics.errors import MissingWeightsError, UnknownNameError, UsageError, WeightsError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import load_extractor, locate_weights
from genmetrics.extractors.hub_preprocess import _PROCESSORS, hub_preprocess
from genmetrics.extractors.python_model import _made_once
from genmetrics.metrics import METRICS
from genmetrics.metrics.resolve import resolve_metric
from genmetrics.preprocess.spec import PREPROCESS, get_preprocess
from genmetrics.versions import version_of
from support.peers import import_peer

transformers = import_peer("transformers")

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
SQUASH = {
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


def saved(folder: Path, model: torch.nn.Module, processor: dict | None = None) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SQUASH if processor is None else processor))
    return folder


@pytest.fixture
def dinov2(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.Dinov2Config(**{k: v for k, v in TINY.items() if k != "intermediate_size"})
    return saved(tmp_path / "dinov2", transformers.Dinov2Model(config))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 40, 50), dtype=np.uint8))


@pytest.fixture
def folders(tmp_path: Path, smooth_images: Callable[..., np.ndarray]) -> tuple[Path, Path]:
    """Two sets of images."""
    paths = tmp_path / "gen", tmp_path / "ref"
    for seed, path in enumerate(paths):
        path.mkdir()
        for number, image in enumerate(smooth_images(24, 36, 36, seed=seed)):
            Image.fromarray(image).save(path / f"{number:03d}.png")
    return paths


class TestHub:
    def test_features_are_the_librarys(self, dinov2, images):
        extractor = load_extractor(f"hf:{dinov2}")
        library = transformers.Dinov2Model.from_pretrained(dinov2).eval()
        with torch.no_grad():
            expected = library(extractor.preprocess(images)).pooler_output
        assert extractor.info.features == {"pooled": 16}
        torch.testing.assert_close(extractor(images, ["pooled"])["pooled"], expected, rtol=1e-5, atol=1e-6)

    def test_preprocessing_is_the_librarys(self, dinov2, images):
        """Against the library's own processor, of Pillow; another filter is told apart."""
        spec = get_preprocess(EXTRACTORS.get(f"hf:{dinov2}").preprocess)
        processor = transformers.ViTImageProcessorPil(**SQUASH)
        pixels = [image.permute(1, 2, 0).numpy() for image in images]
        expected = processor(pixels, return_tensors="pt")["pixel_values"]
        torch.testing.assert_close(spec(images), expected, rtol=0, atol=1e-5)
        bicubic = get_preprocess(hub_preprocess({**SQUASH, "resample": 3}, "x"))
        assert float((bicubic(images) - expected).abs().max()) > 0.1

    @pytest.mark.parametrize(
        ("build", "feature", "width"),
        [
            (lambda: transformers.ViTModel(transformers.ViTConfig(**TINY)), "pooled", 16),
            (lambda: transformers.ViTModel(transformers.ViTConfig(**TINY), add_pooling_layer=False), "cls", 16),
            (
                lambda: transformers.ConvNextV2Model(
                    transformers.ConvNextV2Config(hidden_sizes=[4, 6, 8, 10], depths=[1, 1, 1, 1])
                ),
                "pooled",
                10,
            ),
            (
                lambda: transformers.CLIPModel(
                    transformers.CLIPConfig(
                        vision_config={**TINY, "projection_dim": 12},
                        text_config={**TINY, "projection_dim": 12, "vocab_size": 60},
                        projection_dim=12,
                    )
                ),
                "embedding",
                12,
            ),
        ],
        ids=["vit", "vit without its pooler", "convnext", "clip"],
    )
    def test_which_feature(self, tmp_path, images, build, feature, width):
        """Each model's own; a pooler without weights is left out in place of drawn."""
        name = f"hf:{saved(tmp_path, build())}"
        extractor = load_extractor(name)
        assert extractor.info.features == {feature: width}
        found = extractor(images, [feature])[feature]
        assert found.shape == (3, width)
        assert torch.equal(found, load_extractor(name)(images, [feature])[feature])

    def test_content_decides_what_it_is_known_by(self, dinov2, tmp_path):
        before = locate_weights(f"hf:{dinov2}")
        assert before.official is None
        processor = {**SQUASH, "image_mean": [0.1, 0.1, 0.1]}
        (dinov2 / "preprocessor_config.json").write_text(json.dumps(processor))
        assert locate_weights(f"hf:{dinov2}").sha256 != before.sha256
        assert get_preprocess(EXTRACTORS.get(f"hf:{dinov2}").preprocess).mean == (0.1, 0.1, 0.1)

    def test_end_to_end(self, dinov2, folders, tmp_path, monkeypatch):
        """Named for it, kept in the cache, saved and loaded, and without a word of unpublished weights."""
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
        gen, ref = folders
        name = f"fd.hf:{dinov2}"
        report = gm.evaluate(gen=gen, ref=ref, metrics=[name], device="cpu")
        assert report[name].value > 0
        assert not any("published" in warning for warning in report[name].warnings)
        assert report[name].protocol.extractor == f"hf:{dinov2}"
        by_option = gm.evaluate(gen=gen, ref=ref, metrics=["fid"], extractor=f"hf:{dinov2}", device="cpu")
        assert by_option[name].value == report[name].value
        stats = gm.compute_stats(ref, metrics=[name], device="cpu")
        stats.save(tmp_path / "ref.safetensors")
        assert gm.Stats.load(tmp_path / "ref.safetensors").accumulators.keys() == stats.accumulators.keys()
        again = gm.evaluate(gen=gen, ref=tmp_path / "ref.safetensors", metrics=[name], device="cpu")
        assert again[name].value == pytest.approx(report[name].value, rel=1e-12)
        assert any(path.suffix == ".safetensors" for path in (tmp_path / "cache").rglob("*"))

    def test_the_version_of_the_library_is_recorded_and_decides(self, dinov2, folders, tmp_path, monkeypatch):
        """What another version of it kept is computed again; of other networks it is kept."""
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
        hub, own = f"fd.hf:{dinov2}", "fd.efficientnet-lite0.in1k"
        report = gm.evaluate(*folders, metrics=[hub, own], device="cpu")
        assert report.versions["transformers"] == transformers.__version__
        assert gm.evaluate(*folders, metrics=[hub, own], device="cpu").reused == ("gen", "ref")
        monkeypatch.setattr(
            "genmetrics.engine.remember.version_of",
            lambda name: "0.0" if name == "transformers" else version_of(name),
        )
        assert gm.evaluate(*folders, metrics=[hub], device="cpu").reused == ()
        assert gm.evaluate(*folders, metrics=[own], device="cpu").reused == ("gen", "ref")

    def test_statistics_outlive_the_model(self, dinov2, folders, tmp_path):
        """A file that names a model which has gone says the same of itself: the model is not looked at."""
        stats = gm.compute_stats(folders[0], metrics=[f"fd.hf:{dinov2}"], device="cpu")
        stats.save(tmp_path / "gen.safetensors")
        loaded = gm.Stats.load(tmp_path / "gen.safetensors")
        assert f"fd.hf:{dinov2}" in [metric.id for metric in computable(loaded)]
        dinov2.rename(tmp_path / "gone")
        again = computable(gm.Stats.load(tmp_path / "gen.safetensors"))
        assert [metric.id for metric in again] == [metric.id for metric in computable(loaded)]

    def test_a_repository_of_the_cache(self, dinov2, tmp_path, monkeypatch, images):
        """By name, by name and revision, and not by another revision."""
        commit = "0123456789abcdef0123456789abcdef01234567"
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "hf" / "hub" / "models--someone--tiny"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        (folder / "snapshots").mkdir()
        dinov2.rename(folder / "snapshots" / commit)
        for name in ("hf:someone/tiny", f"hf:someone/tiny@{commit}", "hf:someone/tiny@main"):
            assert load_extractor(name)(images, ["pooled"])["pooled"].shape == (3, 16)
            assert EXTRACTORS.get(name).id == name
        with pytest.raises(
            MissingWeightsError, match=r"'someone/tiny' \(revision v2\) is not in .* could not be fetched"
        ):
            EXTRACTORS.get("hf:someone/tiny@v2")

    @pytest.mark.parametrize(
        "text",
        [
            *("a/b@../../../x", "a/b@/x", "a/b@x/../y", "a/b@./x", "a/b@x//y", "a/b@x/", "a/b@-x", "a/b@.."),
            *("a/..", "../b", "a/.b", "-a/b", "ä/b"),
        ],
    )
    def test_no_name_leaves_the_cache(self, dinov2, tmp_path, monkeypatch, text):
        """A folder outside of it is not read, whatever the name of the revision."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        (tmp_path / "hub" / "models--a--b" / "snapshots").mkdir(parents=True)
        dinov2.rename(tmp_path / "x")
        with pytest.raises((UsageError, WeightsError), match=r"expected 'hf:owner/name\[@rev|there is no folder"):
            EXTRACTORS.get(f"hf:{text}")

    @pytest.mark.parametrize("commit", ["../../../x", "", "0123", "Z" * 40])
    def test_no_reference_leaves_the_cache(self, dinov2, tmp_path, monkeypatch, commit):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        folder = tmp_path / "hub" / "models--a--b"
        (folder / "snapshots").mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
        dinov2.rename(tmp_path / "x")
        with pytest.raises(MissingWeightsError, match="could not be fetched"):
            EXTRACTORS.get("hf:a/b")

    def test_names_that_mean_nothing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(
            WeightsError, match=r"^extractor 'hf:/nowhere/at all': there is no folder '/nowhere/at all'$"
        ):
            EXTRACTORS.get("hf:/nowhere/at all")
        for name in ("hf:", "hf:tiny", "hf:a/b/c", "hf:a/b@"):
            with pytest.raises(UsageError, match=r"expected 'hf:owner/name\[@revision\]', or a folder"):
                EXTRACTORS.get(name)
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(UsageError, match=r"write 'hf:\./a/b' for the folder, or 'hf:a/b@main'"):
            EXTRACTORS.get("hf:a/b")
        assert "hf:/nowhere" not in EXTRACTORS and "hf:tiny" not in EXTRACTORS

    def test_weights_are_not_given_beside_it(self, dinov2):
        with pytest.raises(UsageError, match="leave out '--weights x'"):
            load_extractor(f"hf:{dinov2}", Path("x"))

    def test_pickles_are_refused(self, dinov2):
        (dinov2 / "model.safetensors").rename(dinov2 / "pytorch_model.bin")
        with pytest.raises(WeightsError, match=r"has no model\.safetensors; pickled weights .* are not loaded"):
            load_extractor(f"hf:{dinov2}")

    def test_code_of_its_own_is_refused(self, dinov2, tmp_path):
        config = json.loads((dinov2 / "config.json").read_text())
        config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
        (dinov2 / "config.json").write_text(json.dumps(config))
        (dinov2 / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(WeightsError, match=r"cannot make a model of it: .*never run"):
            EXTRACTORS.get(f"hf:{dinov2}")
        assert not (tmp_path / "ran").exists()

    def test_missing_weights_are_no_random_ones(self, dinov2):
        from safetensors.torch import load_file, save_file

        state = load_file(dinov2 / "model.safetensors")
        del state["encoder.layer.0.mlp.fc1.weight"]
        save_file(state, dinov2 / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(WeightsError, match=r"do not fit its config\.json; 1 are missing"):
            load_extractor(f"hf:{dinov2}")

    def test_a_model_that_draws_is_refused(self, tmp_path):
        config = transformers.ViTMAEConfig(**TINY, decoder_hidden_size=16, decoder_num_attention_heads=2)
        folder = saved(tmp_path, transformers.ViTMAEModel(config))
        with pytest.raises(UsageError, match="gives other features each time"):
            load_extractor(f"hf:{folder}")


class TestHubPreprocess:
    def test_one_that_is_known_keeps_its_id(self):
        clip = PREPROCESS["pil-bicubic-crop-224-clip-hf"]
        settings = {
            "crop_size": 224,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": list(clip.mean),
            "image_std": list(clip.std),
            "resample": 3,
            "size": 224,
        }
        assert hub_preprocess(settings, "x") == clip.id

    def test_dinov2s_own(self):
        """facebook/dinov2-*: 256, then the centre 224."""
        settings = {
            **SQUASH,
            "resample": 3,
            "do_center_crop": True,
            "size": {"shortest_edge": 256},
            "crop_size": {"height": 224, "width": 224},
        }
        spec = get_preprocess(hub_preprocess(settings, "x"))
        assert (spec.size, spec.fit, spec.cover) == ((224, 224), "cover", 256)
        pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        expected = transformers.BitImageProcessorPil(**settings)([pixels], return_tensors="pt")["pixel_values"]
        found = spec(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        torch.testing.assert_close(found, expected, rtol=0, atol=0.02)

    @pytest.mark.parametrize(
        ("kind", "settings"),
        [
            ("CLIP", {"size": 32, "crop_size": 32}),
            ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": {"height": 24, "width": 24}, "do_center_crop": True}),
            ("CLIP", {"size": {"shortest_edge": 224}}),
            ("Bit", {"size": {"shortest_edge": 37}, "crop_size": 32}),
            ("ChineseCLIP", {"size": {"shortest_edge": 33}, "crop_size": 32}),
            ("MobileNetV1", {"size": {"shortest_edge": 37}, "crop_size": 32}),
            ("ConvNext", {"size": {"shortest_edge": 32}}),
            ("ViT", {"size": 32}),
            ("ViT", {"size": {"height": 32, "width": 24}}),
            ("Beit", {"size": 32}),
            ("Blip", {"size": 32}),
            ("Pvt", {"size": 32}),
            ("Segformer", {"size": 32}),
            ("DeiT", {"size": 32, "do_center_crop": False}),
            ("DeiT", {"size": 32, "crop_size": 32}),
            ("Siglip", {"size": {"height": 32, "width": 32}}),
        ],
    )
    @pytest.mark.parametrize("shape", [(227, 224), (300, 231), (231, 300), (41, 40)])
    def test_what_the_settings_leave_open_is_as_in_the_library(self, kind, settings, shape):
        """Against the library's own Pillow processors, on sizes whose remainders are odd."""
        settings = {**settings, "image_mean": MEAN, "image_std": STD}
        pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        processor = getattr(transformers, f"{kind}ImageProcessorPil")(**settings)
        expected = processor([pixels], return_tensors="pt")["pixel_values"]
        spec = get_preprocess(hub_preprocess({**settings, "image_processor_type": f"{kind}ImageProcessor"}, "x"))
        found = spec(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        torch.testing.assert_close(found, expected.to(torch.float32), rtol=0, atol=1e-5)
        if spec.fit == "cover":
            by_torchvision = replace(spec, crop_rounding="round")(torch.from_numpy(pixels).permute(2, 0, 1)[None])
            left = (int(spec.size[0] * max(shape) / min(shape)) if not spec.cover else 0) - spec.size[0]
            assert left % 4 != 3 or float((by_torchvision - found).abs().max()) > 0.1

    def test_clip_score_100s_is_the_librarys(self):
        """Whose centre begins elsewhere than clean-fid's and OpenAI's."""
        assert METRICS.get("clip_score_100").preprocess == "pil-bicubic-crop-224-clip-hf"
        pixels = np.random.default_rng(0).integers(0, 256, (227, 224, 3), dtype=np.uint8)
        expected = transformers.CLIPImageProcessorPil()([pixels], return_tensors="pt")["pixel_values"]
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        torch.testing.assert_close(
            PREPROCESS["pil-bicubic-crop-224-clip-hf"](images), expected.to(torch.float32), rtol=0, atol=1e-5
        )
        assert float((PREPROCESS["pil-bicubic-crop-224-clip"](images) - expected).abs().max()) > 0.1
        assert "crop_rounding" not in PREPROCESS["pil-bicubic-crop-224-clip"].as_dict()

    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            (
                {**SQUASH, "image_processor_type": "LevitImageProcessor"},
                "go through a LevitImageProcessor, which is not",
            ),
            ({**SQUASH, "size": 32}, "has size = 32 and names no image_processor_type"),
            ({**SQUASH, "resample": None}, "has resample = None and names no image_processor_type"),
            ({**SQUASH, "image_processor_type": "DeiTImageProcessor"}, "has do_center_crop = True, which cannot"),
            ({**SQUASH, "image_processor_type": "ConvNextImageProcessor"}, "has size = {"),
            ({**SQUASH, "size": 32, "image_processor_type": "SiglipImageProcessor"}, "has crop_size = None"),
        ],
    )
    def test_what_is_not_known_is_refused(self, settings, text):
        with pytest.raises(UsageError) as caught:
            hub_preprocess(settings, "x")
        assert text in str(caught.value)

    def test_the_table_is_the_librarys(self):
        for kind, known in _PROCESSORS.items():
            processor = getattr(transformers, f"{kind}Pil")()
            assert int(processor.resample) == known.resample, kind
            assert processor.default_to_square == known.squashes, kind
            crops = getattr(processor, "do_center_crop", False)
            assert (processor.crop_size["height"] if crops else None) == known.crops, kind

    @pytest.mark.parametrize(("edge", "fit", "cover"), [(224, "cover", 256), (384, "squash", None)])
    def test_convnext(self, edge, fit, cover):
        settings = {**SQUASH, "image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": edge}}
        spec = get_preprocess(hub_preprocess({**settings, "crop_pct": 0.875}, "x"))
        assert (spec.size, spec.fit, spec.cover) == ((edge, edge), fit, cover)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"resample": 1}, "resample = 1"),
            ({"do_pad": True}, "do_pad = True"),
            ({"do_resize": False}, "do_resize = False"),
            ({"size": {"shortest_edge": 224}}, "crop_size = None"),
            ({"size": {"longest_edge": 224}}, "size = {'longest_edge': 224}"),
            ({"size": None}, "size = None"),
            ({"image_mean": 0.5}, "image_mean = 0.5"),
            ({"rescale_factor": 0}, "rescale_factor = 0"),
        ],
    )
    def test_what_cannot_be_said_is_named(self, change, text):
        with pytest.raises(UsageError) as caught:
            hub_preprocess({**SQUASH, **change}, "hf:x/y")
        assert f"its preprocessor_config.json has {text}, which cannot be said" in str(caught.value)


MODULE = """
    import torch
    from genmetrics.preprocess.spec import Preprocess

    class Colours(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.eye(3))

        def forward(self, x):
            return x.mean(dim=(2, 3)) @ self.weight

    class Named(Colours):
        preprocess = Preprocess("test-squash-8", "torch-bilinear", (8, 8), (0.0,) * 3, (1.0,) * 3)

        def forward(self, x):
            return {"colours": super().forward(x), "logits": x.flatten(1)[:, :5]}

    ready = Colours()
    number = 3

    def fails():
        raise KeyError("x")

    def gives_text():
        return "text"

    class Image(Colours):
        def forward(self, x):
            return x
"""


class TestPython:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "networks.py"
        path.write_text(textwrap.dedent(MODULE))
        return path

    @pytest.mark.parametrize("attribute", ["Colours", "ready"])
    def test_one_feature(self, file, images, attribute):
        extractor = load_extractor(f"python:{file}:{attribute}")
        assert extractor.info.features == {"features": 3}
        assert extractor.preprocess.id == "pil-bicubic-224-imagenet"
        expected = extractor.preprocess(images).mean(dim=(2, 3))
        torch.testing.assert_close(extractor(images, ["features"])["features"], expected)
        assert locate_weights(extractor.id) is None

    def test_several_with_a_preprocessing_of_their_own(self, file, images):
        extractor = load_extractor(f"python:{file}:Named")
        assert extractor.info.features == {"colours": 3, "logits": 5}
        assert (extractor.info.pool, extractor.info.logits) == ("colours", "logits")
        assert extractor.preprocess.size == (8, 8)
        assert extractor(images, ["logits"])["logits"].shape == (3, 5)
        assert list(extractor(images, ["logits"])) == ["logits"]

    def test_a_module_by_name(self, file, monkeypatch, images):
        monkeypatch.syspath_prepend(str(file.parent))
        assert load_extractor("python:networks:Colours")(images, ["features"])["features"].shape == (3, 3)

    def test_end_to_end(self, file, folders):
        gen, ref = folders
        names = [f"fd.python:{file}:Named", f"kid.python:{file}:Named"]
        report = gm.evaluate(gen=gen, ref=ref, metrics=names, device="cpu")
        assert report[names[0]].value > 0
        assert not any("published ones (" in warning for warning in report[names[0]].warnings)

    @pytest.mark.parametrize(
        "change",
        [
            ("x.mean(dim=(2, 3))", "x.amax(dim=(2, 3))"),  # code of the same length, and no weight of it
            ("(8, 8)", "(8, 9)"),
        ],
        ids=["code", "preprocessing"],
    )
    def test_code_tells_two_apart(self, file, change, monkeypatch):
        """Statistics of before do not compare with those of after; a comment's change is a change."""
        monkeypatch.setattr("genmetrics.preprocess.spec.PREPROCESS", dict(PREPROCESS))
        file.write_text(file.read_text().replace("test-squash-8", f"test-squash-8-{change[1][:2]}"))
        first = load_extractor(f"python:{file}:Named").weights_sha256
        assert first == load_extractor(f"python:{file}:Named").weights_sha256 and len(first) == 64
        file.write_text(file.read_text().replace(*change).replace("test-squash-8", "test-squash-other"))
        assert load_extractor(f"python:{file}:Named").weights_sha256 != first

    def test_the_code_of_its_classes_is_elsewhere(self, file, tmp_path, monkeypatch):
        """A file that only imports the network's class, whose module is known too."""
        monkeypatch.syspath_prepend(str(tmp_path))
        digests = []
        for body in ("mean", "amax"):
            (tmp_path / f"classes_{body}.py").write_text(file.read_text().replace("x.mean", f"x.{body}"))
            path = tmp_path / "only_imports.py"
            path.write_text(
                "import importlib, pathlib\n\n\ndef make():\n"
                "    which = pathlib.Path(__file__).with_name('which').read_text()\n"
                "    return importlib.import_module(which).Colours()\n"
            )
            (tmp_path / "which").write_text(f"classes_{body}")
            _made_once.cache_clear()
            digests.append(load_extractor(f"python:{path}:make").weights_sha256)
        assert digests[0] != digests[1]

    def test_code_that_cannot_be_known(self, file, folders, tmp_path, monkeypatch):
        """Neither named by a digest nor kept, and that two sides are alike is said to be unchecked."""
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
        path = tmp_path / "scripted.py"
        path.write_text(
            f"import pathlib\nmade = {{'__name__': 'nowhere_at_all'}}\n"
            f"exec(pathlib.Path({str(file)!r}).read_text(), made)\n"
            "make = made['Colours']\n"
        )
        name = f"fd.python:{path}:make"
        assert load_extractor(f"python:{path}:make").weights_sha256 is None
        report = gm.evaluate(*folders, metrics=[name], device="cpu")
        assert any("that both sides have the same is not checked" in text for text in report[name].warnings)
        assert not any(path.suffix == ".safetensors" for path in (tmp_path / "cache").rglob("*"))

    def test_file_and_factory_run_once_a_run(self, file, folders, tmp_path):
        file.write_text(
            file.read_text() + "\nimport pathlib\n\ndef note(what):\n"
            "    with pathlib.Path(__file__).with_name('notes').open('a') as f:\n"
            "        f.write(what)\n\nnote('file ')\n\ndef counted():\n    note('factory ')\n    return Colours()\n"
        )
        name = f"python:{file}:counted"
        gm.evaluate(*folders, metrics=[f"fd.{name}", f"kid.{name}"], device="cpu")
        assert (tmp_path / "notes").read_text() == "file factory "
        gm.evaluate(*folders, metrics=[f"fd.{name}"], device="cpu")
        assert (tmp_path / "notes").read_text() == "file factory factory "

    def test_two_have_a_network_each(self, file):
        first, second = (load_extractor(f"python:{file}:Colours") for _ in range(2))
        assert first.network is not second.network

    def test_a_dataclass_in_a_file(self, file):
        """Such a class looks its module up by name; a file that failed is run again."""
        content = file.read_text()
        head = "from __future__ import annotations\nimport dataclasses\n\n@dataclasses.dataclass\nclass Sizes:\n"
        file.write_text(f"{head}    width: int = 3\n\n{content}")
        assert load_extractor(f"python:{file}:Colours").info.features == {"features": 3}
        before = set(sys.modules)
        file.write_text(f"{content}\n1 / 0\n")
        for _ in range(2):
            with pytest.raises(UsageError, match="failed: ZeroDivisionError"):
                EXTRACTORS.get(f"python:{file}:Colours")
        assert set(sys.modules) == before

    def test_weights_tell_two_apart(self, file):
        first = load_extractor(f"python:{file}:Colours").weights_sha256
        file.write_text(file.read_text().replace("torch.eye(3)", "2 * torch.eye(3)"))
        assert load_extractor(f"python:{file}:Colours").weights_sha256 != first

    @pytest.mark.parametrize(
        ("target", "text"),
        [
            ("{file}", "expected 'python:file.py:name'"),
            ("{file}:absent", "has no 'absent'"),
            ("{file}:number", "has no function, class or network 'number'"),
            ("{file}:fails", "calling it without arguments failed: KeyError"),
            ("{file}:gives_text", "gives a str; expected an nn.Module"),
            ("{file}:Image", "gives (1, 3, 224, 224) as 'features' of 1 images; expected (n, d)"),
            ("/nowhere/networks.py:x", "there is no file '/nowhere/networks.py'"),
            ("no_such_module:x", "there is no module 'no_such_module'; install it, or put its folder on PYTHONPATH"),
        ],
    )
    def test_what_is_no_network(self, file, target, text):
        with pytest.raises(UsageError) as caught:
            EXTRACTORS.get(f"python:{target.format(file=file)}" if ":" in target else "python:networks")
        assert text in str(caught.value)

    def test_two_preprocessings_of_one_name(self, file):
        EXTRACTORS.get(f"python:{file}:Named")
        file.write_text(file.read_text().replace("(8, 8)", "(9, 9)"))
        with pytest.raises(UsageError, match="preprocessing 'test-squash-8' is registered already"):
            EXTRACTORS.get(f"python:{file}:Named")


def test_other_unknown_names_are_as_before():
    with pytest.raises(UnknownNameError, match=r"^unknown extractor 'huggingface:x'"):
        EXTRACTORS.get("huggingface:x")
    assert not any(name.startswith(("hf:", "python:")) for name in EXTRACTORS)


def test_pairs_have_no_features_for_other_metrics():
    with pytest.raises(
        UsageError, match=r"^metric 'fid' needs features of single images, and 'lpips-alex\.v0\.1' comp"
    ):
        resolve_metric("fd.lpips-alex.v0.1", None, EXTRACTORS.get)
