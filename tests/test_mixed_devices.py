"""On a device without values: nothing of a pass mixes devices, and nothing asks for values.

It is no substitute for the tests marked ``gpu``: it says nothing of numbers, streams and kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.feature_bank import FeatureBank, Scalars
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.extractors.backends.cuda_graph import Capture, CudaGraphBackend, Recorded
from genmetrics.extractors.efficientnet_lite import EfficientNetLite0
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.preprocess.spec import PREPROCESS
from support.shapes_only import META, CopyError, shapes_only

WIDTH, BATCH = 12, 5

KINDS: dict[str, Callable[[], Accumulator]] = {
    "moments": lambda: Moments(WIDTH),
    "moments of unit norm": lambda: Moments(WIDTH, unit_norm=True),
    "feature bank": lambda: FeatureBank(WIDTH),
    "scalars": lambda: Scalars(WIDTH),
    "softmax sums": lambda: SoftmaxSums(WIDTH, 3, 2020, 100),
    "softmax sums, total unknown": lambda: SoftmaxSums(WIDTH, 3, 2020, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_neither_mixes_devices_nor_waits(kind):
    held = KINDS[kind]()
    with shapes_only():
        if isinstance(held, SoftmaxSums) and held.total:
            # Once, at the first batch, the sums move to the device.
            held._sums, held._negentropy = (torch.zeros_like(x, device=META) for x in (held._sums, held._negentropy))
        for start in range(0, 40, BATCH):
            held.update(torch.randn((BATCH, WIDTH), device=META), torch.arange(start, start + BATCH))
    assert held.num_samples == 40


@pytest.mark.parametrize("name", PREPROCESS)
@pytest.mark.parametrize("size", [(90, 117), (331, 300)])
def test_preprocessing_neither_mixes_devices_nor_waits(name, size):
    with shapes_only():
        found = PREPROCESS[name](torch.zeros((3, 3, *size), dtype=torch.uint8, device=META))
    assert found.device == META and found.dtype == torch.float32
    assert found.shape == (3, 3, *(PREPROCESS[name].size or size))


class _Repeat(Recorded):
    def __init__(self, run: Callable[[], dict[str, Tensor]]) -> None:
        self.outputs = run()

    def begin(self) -> None: ...

    def replay(self) -> None: ...

    def end(self) -> None: ...


class _Repeater(Capture):
    def record(self, run: Callable[[], dict[str, Tensor]]) -> Recorded:
        return _Repeat(run)


@pytest.mark.parametrize("precision", ["exact", "bf16"])
@pytest.mark.parametrize(
    ("network", "side", "wanted"),
    [
        (InceptionV3, 299, ("64", "192", "768", "2048", "2023", "logits", "logits_unbiased")),
        (EfficientNetLite0, 224, ("1280", "logits")),
    ],
)
def test_a_recorded_network_neither_mixes_devices_nor_waits(network, side, wanted, precision):
    def make() -> nn.Module:
        with torch.device(META):
            return network().eval().requires_grad_(False)

    with shapes_only():
        backend = CudaGraphBackend(make, META, precision, _Repeater())
        for count in (4, 4, 3):
            found = backend.start(torch.randn((count, 3, side, side), device=META), wanted)()
            for name in wanted:
                assert found[name].device == META and found[name].dtype == torch.float32
                assert found[name].shape[0] == count
    assert len(backend._fixed) == 1 and not backend.notes


def test_what_waits_or_mixes_is_noticed():
    """The negative controls."""
    with shapes_only():
        values = torch.randn(3, device=META)
        with pytest.raises(RuntimeError, match="meta"):
            bool(torch.isfinite(values).all())
        with pytest.raises(RuntimeError, match="device cpu is not on the expected device meta"):
            values + torch.ones(3)
        with pytest.raises(CopyError, match="from meta to cpu"):
            values.cpu()
        with pytest.raises(CopyError, match="from cpu to meta"):
            torch.ones(3).to(META)
        with pytest.raises(CopyError, match="from cpu to meta"):
            values[:] = torch.ones(3)
