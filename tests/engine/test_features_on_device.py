"""A pass on a device that works later: what goes on which stream, and that numbers and errors are those of a CPU.

The device is made up (see ``support.late_device``); tests marked ``gpu`` take a real one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
import torch
from torch import Tensor

from genmetrics.accumulators import feature_bank, on_device
from genmetrics.engine import features
from genmetrics.engine.device_queue import DeviceQueue
from genmetrics.engine.features import FeatureFeeder
from genmetrics.engine.networks import Networks
from genmetrics.errors import StatisticsError
from genmetrics.extractors.base import Extractor
from genmetrics.types import Need
from support.late_device import Arriving, Recorded, waiting_is_an_error

COUNT, BATCH = 37, 5
NEEDS = (
    Need("one", "native-255", "wide", "moments"),
    Need("one", "native-255", "wide", "feature_bank"),
    Need("one", "native-255", "narrow", "softmax_sums", (("num_splits", 3), ("seed", 2020))),
    Need("two", "native-sym", "narrow", "moments"),
)


class Network(Extractor):
    """Pooled pixels; NaN for an image whose first pixel is white."""

    def __init__(self, log: list[tuple[object, ...]] | None) -> None:
        super().__init__(None)
        self._log = log

    @property
    def notes(self) -> tuple[str, ...]:
        return ("launched one by one",)

    @property
    def features(self) -> Mapping[str, int]:
        return {"wide": 12, "narrow": 3}

    def forward(self, inputs: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        if self._log is not None:
            self._log.append(("network", len(inputs)))
        narrow = inputs.mean(dim=(2, 3))
        narrow = torch.where(inputs[:, :1, 0, 0] >= 255, torch.nan, narrow)
        found = {"narrow": narrow, "wide": torch.cat((narrow, inputs[:, :, 1, :3].flatten(1)), dim=1)}
        return {name: found[name] for name in wanted}


class FakeNetworks(Networks):
    def __init__(self, device: str, log: list[tuple[object, ...]] | None = None) -> None:
        self.device = torch.device(device)
        self._networks = {name: Network(log) for name in ("one", "two")}

    def extractor(self, name: str) -> Extractor:
        return self._networks[name]


def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (COUNT, 3, 6, 7), generator=generator, dtype=torch.uint8)


def fed(networks: FakeNetworks, pixels: Tensor) -> FeatureFeeder:
    feeder = FeatureFeeder(NEEDS, networks, BATCH, len(pixels))
    # Batches that do not fit the network's, whose memory is used for others afterwards.
    for start in range(0, len(pixels), 7):
        batch = pixels[start : start + 7].clone()
        feeder.add(batch, torch.arange(start, start + len(batch)), None)
        if networks.device.type == "cuda":
            batch.zero_()
    feeder.finish()
    return feeder


def assert_same(found: FeatureFeeder, expected: FeatureFeeder) -> None:
    for need, held in expected.accumulators.items():
        state = found.accumulators[need].state()
        for name, values in held.state().items():
            assert state[name].device.type == "cpu"
            torch.testing.assert_close(state[name], values, rtol=1e-5, atol=1e-4)


@pytest.fixture
def made_up(monkeypatch):
    """A device that answers when it likes; its log."""
    streams = Recorded()
    monkeypatch.setattr(features, "device_queue", lambda device: DeviceQueue(streams))
    for module in (on_device, feature_bank):
        monkeypatch.setattr(module, "is_late", lambda values: True)
        monkeypatch.setattr(module, "Fetched", Arriving)
    monkeypatch.setattr(Arriving, "open", 0)
    return streams.log


def test_numbers_are_the_cpus_and_nothing_is_left_on_its_way(request):
    expected = fed(FakeNetworks("cpu"), images())
    request.getfixturevalue("made_up")
    found = fed(FakeNetworks("cpu"), images())
    assert Arriving.open == 0
    assert_same(found, expected)
    assert found.num_waiting == 0


def test_what_goes_on_which_stream(made_up):
    fed(FakeNetworks("cpu", made_up), images())
    assert {entry[1] for entry in made_up if entry[0] == "copy"} == {"copies"}
    assert sum(entry[0] == "copy" for entry in made_up) == -(-COUNT // 7)
    sizes = [entry[1] for entry in made_up if entry[0] == "network"]
    assert sorted(sizes) == sorted(2 * ([BATCH] * (COUNT // BATCH) + [COUNT % BATCH]))
    # Statistics of a batch wait for its network and for none after it: the mark comes before the next network starts.
    after = [made_up[number + 1] for number, entry in enumerate(made_up) if entry[0] == "network"]
    assert {entry[:2] for entry in after} == {("record", "main")}
    # At the end the caller's stream comes after the statistics.
    assert made_up[-2][:2] == ("record", "statistics") and made_up[-1][:2] == ("wait", "main")


def test_an_image_without_a_number_is_named_at_the_latest_at_the_end(request):
    pixels = images()
    pixels[11, :, 0, 0] = 255
    texts = []
    for late in (False, True):
        if late:
            request.getfixturevalue("made_up")
        with pytest.raises(StatisticsError) as caught:
            fed(FakeNetworks("cpu"), pixels)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "1 image(s) contain NaN or infinity (indices 11)" in texts[0]


def test_what_networks_say_of_their_run_is_noted_once():
    assert fed(FakeNetworks("cpu"), images()).notes == ("launched one by one",)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_and_is_not_waited_for():
    pixels = images()
    expected = fed(FakeNetworks("cpu"), pixels)
    networks = FakeNetworks("cuda:0")
    assert_same(fed(networks, pixels), expected)
    # Once more: library handles, page-locked blocks and kernels are there by now.
    feeder = FeatureFeeder(NEEDS, networks, BATCH, COUNT)
    feeder.add(pixels[:14], torch.arange(14), None)
    with waiting_is_an_error():
        for start in range(14, COUNT):
            feeder.add(pixels[start : start + 1], torch.arange(start, start + 1), None)
    feeder.finish()
    assert_same(feeder, expected)


@pytest.mark.gpu
def test_an_image_without_a_number_is_named_on_a_gpu():
    pixels = images()
    pixels[11, :, 0, 0] = 255
    with pytest.raises(StatisticsError, match=r"1 image\(s\) contain NaN or infinity \(indices 11\)"):
        fed(FakeNetworks("cuda:0"), pixels)
