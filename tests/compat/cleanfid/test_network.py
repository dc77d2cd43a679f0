"""Feature models by name and mode, and CLIP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.cleanfid import clip_features, features, fid
from genmetrics.compat.cleanfid.inception_torchscript import InceptionV3W
from genmetrics.compat.cleanfid.network import Network
from genmetrics.errors import GenmetricsWarning, MissingWeightsError, UsageError
from support.clean_fid import CPU
from support.peers import import_peer
from support.weights import CLIP_SIZES, clip_hub_shapes, random_state_dict

transforms = import_peer("torchvision.transforms")


class TestInception:
    @pytest.fixture(scope="class")
    @staticmethod
    def images(smooth_images) -> torch.Tensor:
        return torch.from_numpy(smooth_images(1, 299, 299, seed=2)).permute(0, 3, 1, 2).float() + 0.25

    @pytest.mark.parametrize(
        ("name", "inside", "mode", "size"),
        [
            ("torchscript_inception", False, "clean", 299),
            ("torchscript_inception", True, "legacy_tensorflow", 120),
            ("pytorch_inception", False, "legacy_pytorch", 299),
        ],
    )
    def test_by_name(self, name, inside, mode, size, theirs, networks, images):
        options = {"device": CPU, "resize_inside": inside, "use_dataparallel": False}
        named = features.feature_extractor(name, **options)
        assert (named.info, named.resizes) == (networks[mode].info, networks[mode].resizes)
        given = images[:, :, :size, :size]
        ours = networks[mode](given)
        with torch.no_grad():
            expected = theirs.features.feature_extractor(name, **options)(given)
        assert ours.shape == expected.shape == (1, 2048)
        difference = float(((ours - expected).norm(dim=1) / expected.norm(dim=1)).max())
        print(name, inside, difference)
        assert difference <= 1e-5

    def test_of_the_torchscript_module(self, images, networks):
        network = InceptionV3W("/nowhere", download=False).to("cpu").eval()
        assert isinstance(network, Network) and not network.resizes and network.device == CPU
        network.networks = networks["clean"].networks
        assert InceptionV3W(resize_inside=True).resizes
        found = network(images)
        # Whoever has the features may compute on with them.
        assert found.requires_grad_(True).sum().backward() is None

    def test_errors(self, images):
        with pytest.raises(UsageError, match="feature extractor 'inception': did you mean"):
            features.feature_extractor("inception", CPU)
        network = features.build_feature_extractor("clean", CPU, use_dataparallel=True)
        with pytest.raises(UsageError, match=r"\(1, 3, 64, 64\); expected \(n, 3, 299, 299\): resize them first"):
            network(images[:, :, :64, :64])
        with pytest.raises(UsageError, match=r"expected \(n, 3, h, w\)"):
            network(images[0])

    def test_unofficial_weights(self):
        with pytest.warns(GenmetricsWarning, match=r"the weights of 'inception-v3\.tf2015' are not the published ones"):
            features.build_feature_extractor("clean", CPU)

    def test_missing_weights(self, monkeypatch, tmp_path, folders):
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        with pytest.raises(MissingWeightsError, match=r"inception-v3\.tf2015"):
            fid.compute_fid(*folders, device="cpu", verbose=False)


class TestClip:
    """On seeded random weights: the network has tests of its own, here it is put together with its resize."""

    @pytest.fixture(scope="class")
    @staticmethod
    def weights(tmp_path_factory) -> Path:
        path = tmp_path_factory.mktemp("clip") / "random.pth"
        shapes = clip_hub_shapes(*CLIP_SIZES["clip-vit-b32.openai"])
        torch.save(random_state_dict({name: shapes[name] for name in shapes if not name.startswith("text")}), path)
        return path

    @pytest.fixture
    def found_weights(self, weights, monkeypatch) -> None:
        """The random ones, where the published would be."""
        from genmetrics.engine import networks

        for name in ("load_extractor", "locate_weights"):
            whole = getattr(networks, name)
            monkeypatch.setattr(networks, name, lambda extractor, given, whole=whole: whole(extractor, weights))

    @pytest.mark.parametrize("size", [(64, 64), (97, 60), (225, 448)])
    def test_resize(self, smooth_images, size):
        """clean-fid's steps; its module cannot be imported where the ``clip`` package is another."""
        image = smooth_images(1, *size, seed=1)[0]
        steps = transforms.Compose(
            [transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224)]
        )
        expected = np.asarray(steps(Image.fromarray(image))).clip(0, 255).astype(np.uint8)
        np.testing.assert_array_equal(clip_features.img_preprocess_clip(image), expected)
        # Floats are truncated.
        ours = clip_features.img_preprocess_clip(image.astype(np.float32) + 0.9)
        np.testing.assert_array_equal(ours[:, :, :], clip_features.img_preprocess_clip((image + 0.9).clip(0, 255)))
        assert ours.dtype == np.uint8

    @pytest.mark.filterwarnings("ignore:no more images:genmetrics.errors.GenmetricsWarning")
    def test_distance(self, found_weights, image_folder, exact, monkeypatch):
        """By the engine, and by the functions one after another."""
        folders = image_folder(3, 64, 64, seed=1, warmth=1.0), image_folder(4, 97, 60, seed=2)
        network = clip_features.CLIP_fx("ViT-B/32", device="cpu")
        assert network.name == "clip_vit_b_32" and network.info.id == "clip_fid"
        # The one that is made for the model's name, without loading it again.
        monkeypatch.setattr(clip_features, "CLIP_fx", lambda device: network)
        options = {"device": "cpu", "verbose": False, "num_workers": 0}
        ours = fid.compute_fid(*folders, model_name="clip_vit_b_32", **options)
        feats = [
            fid.get_folder_features(
                folder, network.__call__, custom_fn_resize=clip_features.img_preprocess_clip, **options
            )
            for folder in folders
        ]
        assert feats[0].shape == (3, 512)
        assert ours == pytest.approx(exact(*feats), rel=1e-6)
        assert torch.equal(network(torch.zeros(3, 224, 224)), network(torch.zeros(1, 3, 224, 224)))

    def test_errors(self, found_weights, folders):
        with pytest.raises(UsageError, match="CLIP 'ViT-B32': known: ViT-B/16, ViT-B/32, ViT-L/14"):
            clip_features.CLIP_fx("ViT-B32")
        with pytest.raises(UsageError, match="custom_fn_resize was given with model_name='clip_vit_b_32'"):
            fid.compute_fid(*folders, model_name="clip_vit_b_32", custom_fn_resize=lambda x: x, device="cpu")
