"""Recorded networks: on a made-up device that repeats what it recorded, and on a GPU where there is one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from genmetrics.errors import GenmetricsWarning
from genmetrics.extractors.backends.cuda_graph import Capture, CudaGraphBackend, Recorded
from genmetrics.extractors.backends.torch_backend import ReferenceBackend, TorchBackend
from support.late_device import waiting_is_an_error

CPU = torch.device("cpu")
WANTED = ("pooled", "sums")


class Small(nn.Module):
    """Two outputs of a few layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 5)

    def forward(self, inputs: Tensor, wanted: tuple[str, ...]) -> dict[str, Tensor]:
        pooled = self.conv(inputs).float().relu().mean(dim=(2, 3))
        found = {"pooled": pooled, "sums": self.fc(pooled)}
        return {name: found[name] for name in wanted}


def make() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


class Repeating(Recorded):
    """Does again what was recorded, in the tensors that it gave then."""

    def __init__(self, run: Callable[[], dict[str, Tensor]], log: list[str]) -> None:
        self._run, self.log = run, log
        self.outputs: Mapping[str, Tensor] = run()

    def begin(self) -> None:
        self.log.append("begin")

    def replay(self) -> None:
        self.log.append("replay")
        for name, values in self._run().items():
            # Places that are wider than what is put there would tell of a batch of another size.
            assert values.shape == self.outputs[name].shape
            with torch.inference_mode():
                self.outputs[name].copy_(values)

    def end(self) -> None:
        self.log.append("end")


class Repeater(Capture):
    def __init__(self, fails: bool = False) -> None:
        self.fails, self.records, self.log = fails, 0, []

    def record(self, run: Callable[[], dict[str, Tensor]]) -> Recorded:
        self.records += 1
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return Repeating(run, self.log)


def images(count: int, seed: int = 0, side: int = 9) -> Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(seed))


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("precision", ["exact", "bf16"])
def test_batches_give_what_they_give_plainly_and_the_tail_is_cut_off(precision):
    plain, capture = TorchBackend(make, CPU, precision), Repeater()
    backend = CudaGraphBackend(make, CPU, precision, capture)
    found = []
    for seed, count in enumerate((4, 4, 4, 3, 4, 1)):
        found.append(backend.start(images(count, seed), WANTED)())
    for seed, (count, outputs) in enumerate(zip((4, 4, 4, 3, 4, 1), found, strict=True)):
        assert outputs["pooled"].shape == (count, 8)
        assert_same(outputs, plain.start(images(count, seed), WANTED)())
    assert capture.records == 1
    # The first ran plainly; each replay is enclosed.
    assert capture.log == ["begin", "replay", "end"] * 5


def test_what_was_in_the_batch_before_does_not_matter():
    """Rows beyond a short batch are overwritten: were they NaN, some kernels would carry them over."""
    backend = CudaGraphBackend(make, CPU, "exact", Repeater())
    for values in (images(4), torch.full((4, 3, 9, 9), float("nan"))):
        backend.start(values, WANTED)()
    found = backend.start(images(2, 5), WANTED)()
    assert_same(found, TorchBackend(make, CPU, "exact").start(images(2, 5), WANTED)())
    fixed = next(iter(backend._fixed.values()))
    assert torch.equal(fixed._inputs[2:], torch.zeros(2, 3, 9, 9))


def test_an_answer_stays_when_the_next_batch_comes():
    backend = CudaGraphBackend(make, CPU, "exact", Repeater())
    backend.start(images(4), WANTED)()
    first = backend.start(images(4, 1), WANTED)()
    kept = {name: values.clone() for name, values in first.items()}
    backend.start(images(4, 2), WANTED)()
    for name, values in kept.items():
        assert torch.equal(first[name], values)


def test_a_larger_batch_is_recorded_anew_and_a_smaller_one_is_not():
    capture = Repeater()
    backend = CudaGraphBackend(make, CPU, "exact", capture)
    for count, records in ((2, 0), (2, 1), (4, 2), (3, 2), (4, 2), (2, 2)):
        assert_same(
            backend.start(images(count), WANTED)(), TorchBackend(make, CPU, "exact").start(images(count), WANTED)()
        )
        assert capture.records == records
    assert len(backend._fixed) == 1


def test_shapes_and_outputs_are_recorded_for_themselves_and_not_without_bound():
    capture = Repeater()
    backend = CudaGraphBackend(make, CPU, "exact", capture)
    for side in (5, 6, 7, 8, 9, 10):
        for _ in range(3):
            found = backend.start(images(2, side, side), ("pooled",))()
            assert_same(found, TorchBackend(make, CPU, "exact").start(images(2, side, side), ("pooled",))())
    assert capture.records == len(backend._fixed) == 4
    assert list(backend.start(images(2), ("sums",))()) == ["sums"]


def test_a_network_that_cannot_be_recorded_runs_plainly_and_says_so_once():
    capture = Repeater(fails=True)
    backend = CudaGraphBackend(make, CPU, "exact", capture)
    expected = TorchBackend(make, CPU, "exact").start(images(3), WANTED)()
    assert_same(backend.start(images(3), WANTED)(), expected)
    with pytest.warns(GenmetricsWarning, match=r"\(operation not permitted when stream is capturing\); it ran launch"):
        assert_same(backend.start(images(3), WANTED)(), expected)
    assert_same(backend.start(images(3), WANTED)(), expected)  # a warning would be an error
    [note] = backend.notes
    assert "not permitted when stream is capturing" in note
    assert capture.records == 1


@pytest.mark.parametrize("inside", [True, False])
def test_batches_may_come_inside_inference_mode_and_outside(inside):
    backend = CudaGraphBackend(make, CPU, "exact", Repeater())
    for mode in (inside, inside, not inside):
        with torch.inference_mode(mode):
            found = backend.start(images(3), WANTED)()
    assert_same(found, TorchBackend(make, CPU, "exact").start(images(3), WANTED)())


def test_an_empty_batch_is_no_batch_to_record():
    backend = CudaGraphBackend(make, CPU, "exact", Repeater())
    for _ in range(3):
        assert backend.start(images(0), WANTED)()["pooled"].shape == (0, 8)
    assert not backend._fixed


class Noting(Small):
    """Writes down whether cuDNN would try out its algorithms."""

    def __init__(self, seen: list[bool]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, inputs: Tensor, wanted: tuple[str, ...]) -> dict[str, Tensor]:
        self.seen.append(torch.backends.cudnn.benchmark)
        return super().forward(inputs, wanted)


@pytest.mark.parametrize("fails", [False, True], ids=["recorded", "plain"])
def test_exact_tries_out_nothing_whatever_the_process_has_chosen(monkeypatch, fails):
    """In the first batch as in recorded ones, and in those that cannot be recorded."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    for precision, expected in (("exact", {False}), ("tf32", {True})):  # the other one as the negative control
        seen: list[bool] = []
        backend = CudaGraphBackend(lambda seen=seen: Noting(seen).eval(), CPU, precision, Repeater(fails))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GenmetricsWarning)
            for count in (2, 2, 2, 3):
                backend.start(images(count), WANTED)()
        ReferenceBackend(lambda seen=seen: Noting(seen).eval(), CPU, precision).start(images(1), WANTED)()
        assert set(seen) == expected
        assert torch.backends.cudnn.benchmark is True


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["exact", "tf32", "bf16"])
def test_a_graph_gives_the_plain_features(inception_weights, precision):
    from genmetrics.extractors.base import load_extractor

    device, wanted = torch.device("cuda", 0), ("2048", "logits_unbiased")

    def network() -> nn.Module:
        return load_extractor("inception-v3.tf2015", inception_weights).network

    backend, plain = CudaGraphBackend(network, device, precision), TorchBackend(network, device, precision)
    batches = [torch.randn((count, 3, 299, 299), device=device) for count in (8, 8, 8, 5, 8, 1)]
    found = [backend.start(batch, wanted)() for batch in batches]  # before any is looked at
    assert len(backend._fixed) == 1 and not backend.notes
    for batch, outputs in zip(batches, found, strict=True):
        expected = plain.start(batch, wanted)()
        for name, values in expected.items():
            error = float((outputs[name] - values).norm() / values.norm())
            # A batch that was filled up may run by other algorithms than a small one, which round in their own way.
            exact = 1e-6 if len(batch) == 8 else 1e-4
            assert error <= {"exact": exact, "tf32": 1e-2, "bf16": 0.15}[precision], (name, error)


@pytest.mark.gpu
def test_a_graph_is_exact_where_it_is_asked_to_be_whatever_the_process_has_chosen(inception_weights):
    """The switches count while the graph is recorded, and the process's own are put back."""
    from genmetrics.extractors.base import load_extractor

    device, batch = torch.device("cuda", 0), torch.randn((4, 3, 299, 299), device="cuda")

    def network() -> nn.Module:
        return load_extractor("inception-v3.tf2015", inception_weights).network

    expected = ReferenceBackend(network, device, "exact").start(batch, ("2048",))()["2048"]
    torch.backends.cudnn.allow_tf32 = True
    errors = {}
    for precision in ("exact", "tf32"):
        backend = CudaGraphBackend(network, device, precision)
        for _ in range(3):
            found = backend.start(batch, ("2048",))()["2048"]
        errors[precision] = float((found - expected).norm() / expected.norm())
    assert errors["exact"] < 1e-4
    if torch.cuda.get_device_capability() >= (8, 0):  # the negative control
        assert errors["tf32"] > 5 * errors["exact"]
    assert torch.backends.cudnn.allow_tf32 is True
    assert torch.backends.cudnn.benchmark is False


@pytest.mark.gpu
def test_a_graph_is_not_waited_for(inception_weights):
    from genmetrics.extractors.base import load_extractor

    device = torch.device("cuda", 0)
    backend = CudaGraphBackend(
        lambda: load_extractor("inception-v3.tf2015", inception_weights).network, device, "exact"
    )
    batch = torch.randn((4, 3, 299, 299), device=device)
    for _ in range(3):
        backend.start(batch, ("2048",))()
    with waiting_is_an_error():
        for count in (4, 4, 2):
            backend.start(batch[:count], ("2048",))()
