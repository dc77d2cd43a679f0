"""Resizing and the Inception network against TensorFlow 2.21.0's own operators (tests/goldens/tensorflow)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genmetrics.extractors.inception_graph import inception_state_dict
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear
from support.tensorflow_goldens import load, smooth_image, write_graph

WANTED = ("64", "192", "768", "2048", "logits_unbiased", "logits")
TOLERANCE = 1e-4


RESIZE = load("resize.npz")
RESIZE_IDS = [
    "{}x{}-{}x{}".format(*source, *target) for source, target in zip(RESIZE["source"], RESIZE["target"], strict=True)
]
IDENTITY = [i for i in range(len(RESIZE_IDS)) if tuple(RESIZE["source"][i]) == tuple(RESIZE["target"][i])]


def half_pixel(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The wrong resizer: PyTorch's sampling grid in place of TensorFlow 1's."""
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def planes(image: np.ndarray) -> torch.Tensor:
    """(h, w, 3) uint8 as (1, 3, h, w) float32."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def golden_resize(index: int, resize) -> np.ndarray:
    """Our resizing of the golden's image, (h, w, 3) float32."""
    height, width = RESIZE["source"][index].tolist()
    seed = int(RESIZE["seed"][index])
    image = np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)
    height, width = RESIZE["target"][index].tolist()
    return np.ascontiguousarray(resize(planes(image), (height, width))[0].permute(1, 2, 0).numpy())


def sha256(array: np.ndarray) -> str:
    assert array.dtype == np.float32
    return hashlib.sha256(array.tobytes()).hexdigest()


class TestResize:
    """``tf.compat.v1.image.resize_bilinear(align_corners=False, half_pixel_centers=False)``."""

    @pytest.mark.parametrize("index", range(len(RESIZE_IDS)), ids=RESIZE_IDS)
    def test_bit_for_bit(self, index):
        ours = golden_resize(index, resize_tf1_bilinear)
        stride = int(RESIZE["sample_stride"])
        # First what the hash cannot tell: where and by how much.
        np.testing.assert_array_equal(ours[::stride, ::stride], RESIZE[f"sample_{index}"])
        assert sha256(ours) == RESIZE["sha256"][index]

    @pytest.mark.parametrize("index", range(len(RESIZE_IDS)), ids=RESIZE_IDS)
    def test_the_half_pixel_grid_is_told_apart(self, index):
        same = sha256(golden_resize(index, half_pixel)) == RESIZE["sha256"][index]
        assert same == (index in IDENTITY)

    def test_only_one_size_is_the_identity(self):
        assert len(IDENTITY) == 1


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return load("inception.npz")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> InceptionV3:
    path = write_graph(tmp_path_factory.mktemp("graphdef"))
    net = InceptionV3()
    net.load_state_dict(inception_state_dict(path))
    path.unlink()
    return net.eval()


def outputs(net: InceptionV3, golden: dict[str, np.ndarray], resize) -> dict[str, np.ndarray]:
    """All outputs for the goldens' images."""
    resized = [
        resize(planes(smooth_image(int(seed), height, width)), (299, 299))
        for seed, (height, width) in zip(golden["seed"], golden["size"].tolist(), strict=True)
    ]
    with torch.inference_mode():
        found = net((torch.cat(resized) - 128) / 128, WANTED)
    return {name: found[name].numpy() for name in WANTED}


def errors(found: dict[str, np.ndarray], golden: dict[str, np.ndarray]) -> dict[str, float]:
    """The greatest absolute difference of each output."""
    return {name: float(np.abs(found[name] - golden[name]).max()) for name in WANTED}


class TestInception:
    """The whole way from uint8 images of four sizes, by weights that TensorFlow wrote and we read."""

    def test_the_goldens_tell_images_apart(self, golden):
        """Outputs near zero, or alike for all images, would hide errors below the tolerance."""
        for name in WANTED:
            assert 0.1 < golden[name].std() < 10, name
            for row in range(1, len(golden["seed"])):
                apart = np.abs(golden[name][row] - golden[name][0]).mean()
                assert apart > 100 * TOLERANCE, (name, row)

    def test_all_outputs(self, network, golden):
        """Tolerance 1e-4 absolute; reached with torch 2.13.0 on an AVX-512 CPU, over all images:

        ================  ============  =============
        output            max absolute  relative (L2)
        ================  ============  =============
        64                9e-8          8e-8
        192               2.4e-7        1.0e-7
        768               8e-7          3.0e-7
        2048 (pool_3)     2.3e-6        9e-7
        logits_unbiased   1.0e-6        1.2e-6
        logits            1.0e-6        1.1e-6
        ================  ============  =============
        """
        found = outputs(network, golden, resize_tf1_bilinear)
        for name in WANTED:
            assert found[name].shape == golden[name].shape and found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], golden[name], rtol=0, atol=TOLERANCE, err_msg=name)

    def test_the_wrong_resizer_is_told_apart(self, network, golden):
        assert min(errors(outputs(network, golden, half_pixel), golden).values()) > 10 * TOLERANCE

    def test_average_for_maximum_in_the_last_block_is_told_apart(self, network, golden, monkeypatch):
        def average_where_the_size_stays(x, kernel_size, stride, padding=0):
            if stride == 1:
                return F.avg_pool2d(x, kernel_size, stride, padding, count_include_pad=False)
            return torch.max_pool2d(x, kernel_size, stride, padding)

        monkeypatch.setattr(F, "max_pool2d", average_where_the_size_stays)
        found = errors(outputs(network, golden, resize_tf1_bilinear), golden)
        assert found["768"] < TOLERANCE
        assert min(found["2048"], found["logits"]) > 10 * TOLERANCE

    def test_counted_padding_is_told_apart(self, network, golden, monkeypatch):
        average = F.avg_pool2d

        def counting(x, kernel_size, stride, padding, count_include_pad):
            assert not count_include_pad
            return average(x, kernel_size, stride, padding, count_include_pad=True)

        monkeypatch.setattr(F, "avg_pool2d", counting)
        found = errors(outputs(network, golden, resize_tf1_bilinear), golden)
        assert found["192"] < TOLERANCE
        assert min(found["768"], found["2048"], found["logits"]) > 10 * TOLERANCE

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Mixed_5c.branch3x3dbl_1", "Mixed_5c.branch1x1"),
            ("Mixed_6c.branch7x7_1", "Mixed_6c.branch7x7dbl_1"),
            ("Mixed_6d.branch7x7dbl_2", "Mixed_6d.branch7x7dbl_4"),
            ("Mixed_7c.branch3x3_2a", "Mixed_7c.branch3x3dbl_3a"),
        ],
    )
    def test_weights_under_each_others_names_are_told_apart(self, network, golden, one, other):
        state = network.state_dict()
        swapped = dict(state)
        for key in state:
            if key.startswith(f"{one}."):
                twin = key.replace(one, other)
                swapped[key], swapped[twin] = state[twin], state[key]
        wrong = InceptionV3()
        wrong.load_state_dict(swapped)
        found = errors(outputs(wrong.eval(), golden, resize_tf1_bilinear), golden)
        assert min(found["2048"], found["logits"]) > 10 * TOLERANCE

    def test_the_bias_is_in_the_logits_alone(self, golden):
        assert np.abs(golden["logits"] - golden["logits_unbiased"]).max() > 10 * TOLERANCE
