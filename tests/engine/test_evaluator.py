"""Feeding tensors in a training loop gives what reading the same images gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import linalg

from genmetrics.engine.evaluate import compute_stats, evaluate
from genmetrics.engine.evaluator import Evaluator
from genmetrics.errors import GenmetricsError, StatisticsError, UsageError
from genmetrics.stats.stats import Stats
from support.blocks import NET, registered_blocks

FD, KID, ISC = f"fd.{NET}", f"kid.{NET}", f"isc.{NET}"
COUNT = 14


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


def images(count: int, seed: int, smooth_images) -> torch.Tensor:
    return torch.from_numpy(smooth_images(count, 40, 36, seed)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def gen(_registered: None, smooth_images) -> torch.Tensor:
    return images(COUNT, 1, smooth_images)


@pytest.fixture(scope="module")
def ref(_registered: None, smooth_images) -> Stats:
    return compute_stats(images(COUNT, 2, smooth_images), ["fid", "kid"], extractor=NET, device="cpu")


@pytest.fixture(scope="module")
def expected(gen: torch.Tensor, ref: Stats) -> dict[str, float]:
    """What ``evaluate`` says of the same images."""
    report = evaluate(gen, ref, ["fid", "kid", "isc"], extractor=NET, device="cpu", workers=0)
    return {name: result.value for name, result in report.metrics.items()}


@pytest.fixture
def evaluator(ref: Stats) -> Evaluator:
    return Evaluator(ref, ["fid", "kid", "isc"], extractor=NET, device="cpu", batch_size=4)


def values(evaluator: Evaluator) -> dict[str, float]:
    return {name: result.value for name, result in evaluator.compute().metrics.items()}


def test_names_are_the_networks(expected: dict[str, float]) -> None:
    assert list(expected) == [FD, KID, ISC]


@pytest.mark.parametrize("sizes", [[COUNT], [1] * COUNT, [3, 5, 6], [9, 0, 5]], ids=str)
def test_any_split_is_one_pass(evaluator: Evaluator, gen: torch.Tensor, expected, sizes: list[int]) -> None:
    for part in gen.split(sizes):
        evaluator.update(part)
    assert values(evaluator) == pytest.approx(expected, rel=1e-5)
    report = evaluator.compute()
    assert report.gen.num_samples == COUNT
    assert report.gen.digest == compute_stats(gen, ["fid"], extractor=NET, device="cpu").side.digest


def test_other_images_would_be_noticed(evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
    """Negative control of the comparison above: one image of fourteen is another."""
    evaluator.update(torch.cat([gen[:-1], 255 - gen[-1:]]))
    for name, value in values(evaluator).items():
        assert value != pytest.approx(expected[name], rel=1e-3), name


def test_indices_order_the_samples(evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
    order = torch.from_numpy(np.random.default_rng(0).permutation(COUNT))
    for part in order.split(5):
        evaluator.update(gen[part], part * 10 + 3)
    assert values(evaluator) == pytest.approx(expected, rel=1e-5)


def test_arrival_in_another_order_would_be_noticed(evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
    """Negative control: without indices the order of arrival is the order, and splits differ."""
    evaluator.update(gen.flip(0))
    assert values(evaluator)[ISC] != pytest.approx(expected[ISC], rel=1e-5)


def test_feeding_goes_on_after_a_report(evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
    evaluator.update(gen[:11])
    early = evaluator.compute()
    evaluator.update(gen[11:])
    assert values(evaluator) == pytest.approx(expected, rel=1e-5)
    assert early.gen.num_samples == 11
    assert early[FD].value != pytest.approx(expected[FD], rel=1e-3)


def test_computing_twice_gives_the_same(evaluator: Evaluator, gen: torch.Tensor) -> None:
    evaluator.update(gen)
    assert values(evaluator) == values(evaluator)


def test_reset_forgets_the_images(evaluator: Evaluator, gen: torch.Tensor, expected, smooth_images) -> None:
    evaluator.update(images(5, 9, smooth_images), torch.arange(5))
    evaluator.reset()
    evaluator.update(gen)
    assert values(evaluator) == pytest.approx(expected, rel=1e-5)


def test_images_are_not_kept_or_changed(evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
    buffer = gen.clone()
    evaluator.update(buffer)
    assert torch.equal(buffer, gen)
    buffer.zero_()
    assert values(evaluator) == pytest.approx(expected, rel=1e-5)


def test_sizes_may_change_between_calls(evaluator: Evaluator, gen: torch.Tensor) -> None:
    evaluator.update(gen)
    evaluator.update(gen[:3, :, :20, :30])
    assert evaluator.compute().gen.num_samples == COUNT + 3


def test_reference_as_images(gen: torch.Tensor, ref: Stats, expected, smooth_images) -> None:
    evaluator = Evaluator(images(COUNT, 2, smooth_images), ["fid"], extractor=NET, device="cpu")
    evaluator.update(gen)
    report = evaluator.compute()
    assert report[FD].value == pytest.approx(expected[FD], rel=1e-5)
    assert report.ref is not None and report.ref.digest == ref.side.digest


def test_without_a_reference(gen: torch.Tensor, expected) -> None:
    evaluator = Evaluator(extractor=NET, device="cpu")
    evaluator.update(gen)
    report = evaluator.compute()
    assert list(report.metrics) == [ISC]
    assert report[ISC].value == pytest.approx(expected[ISC], rel=1e-5)
    assert report.ref is None


def test_report_says_where_the_images_came_from(evaluator: Evaluator, gen: torch.Tensor) -> None:
    evaluator.update(gen)
    report = evaluator.compute()
    assert (report.gen.source, report.gen.kind) == ("Evaluator.update()", "tensors")
    assert report.num_processes == 1
    assert report.extractors[NET].official
    assert report.seed == 2020


def test_value_is_that_of_the_features(evaluator: Evaluator, gen: torch.Tensor, smooth_images) -> None:
    """From the images alone, with NumPy: quarters of the squashed image, their moments, the textbook formula."""

    def moments(batch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        small = F.interpolate(batch.float() / 255, size=(16, 16), mode="bilinear", align_corners=False).numpy()
        quarters = small.reshape(len(batch), 3, 2, 8, 2, 8).mean(axis=(3, 5)).reshape(len(batch), 12)
        features = (quarters.astype(np.float64) - 0.5) / 0.25
        return features.mean(axis=0), np.cov(features.T)

    (mu, sigma), (mu_ref, sigma_ref) = moments(gen), moments(images(COUNT, 2, smooth_images))
    expected = ((mu - mu_ref) ** 2).sum() + np.trace(sigma + sigma_ref - 2 * linalg.sqrtm(sigma @ sigma_ref).real)
    evaluator.update(gen)
    assert values(evaluator)[FD] == pytest.approx(expected, rel=1e-4)


def test_nothing_fed(evaluator: Evaluator) -> None:
    with pytest.raises(StatisticsError, match=r"^no images were fed; call update\(images\) before compute\(\)$"):
        evaluator.compute()


def test_too_few_for_a_metric(evaluator: Evaluator, gen: torch.Tensor) -> None:
    evaluator.update(gen[:1])
    with pytest.raises(
        StatisticsError, match=r"^the generated set has 1 image\(s\); a Fréchet distance needs at least 2"
    ):
        evaluator.compute()


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_other_dtypes_are_refused_with_the_conversion(evaluator: Evaluator, dtype: torch.dtype) -> None:
    with pytest.raises(
        GenmetricsError, match=rf"^images are {dtype}; expected torch\.uint8, 0\.\.255\. From floats"
    ) as caught:
        _update_unchecked(evaluator, torch.zeros((2, 3, 8, 8), dtype=dtype))
    assert isinstance(caught.value, UsageError)


def test_named_conversions_are_right() -> None:
    """What the message tells people to type."""
    x = torch.tensor([-0.2, 0.0, 0.5, 1.0, 1.2])
    assert (x.clamp(0, 1) * 255).round().to(torch.uint8).tolist() == [0, 0, 128, 255, 255]
    y = torch.tensor([-1.1, -1.0, 0.0, 1.0])
    assert ((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 8, 3), (2, 1, 8, 8), (2, 4, 8, 8)])
def test_other_shapes_are_refused(evaluator: Evaluator, shape: tuple[int, ...]) -> None:
    text = r", ".join(map(str, shape))
    with pytest.raises(UsageError, match=rf"^images have shape \({text}\); expected \(n, 3, h, w\)$"):
        _update_unchecked(evaluator, torch.zeros(shape, dtype=torch.uint8))


def test_indices_of_another_length_are_refused(evaluator: Evaluator, gen: torch.Tensor) -> None:
    with pytest.raises(UsageError, match=r"^3 images came with indices of shape \(2,\)$"):
        _update_unchecked(evaluator, gen[:3], torch.arange(2))


def test_integers_may_come_as_a_sequence(evaluator: Evaluator, gen: torch.Tensor) -> None:
    """The same numbers as a list, an array or a tensor give the same labels."""
    for numbers in ([5, 6, 7], np.array([5, 6, 7]), torch.tensor([5, 6, 7], dtype=torch.int32)):
        evaluator.reset()
        _update_unchecked(evaluator, gen[:3], numbers, labels=numbers)
        assert evaluator._labels.num_samples == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 1], r"^3 images came with labels of shape \(2,\)$"),
        (["cat", "dog", "cat"], r"^labels are a list of which no tensor can be made \(.*expected one integer for each"),
        ([0.5, 1, 2], r"^labels are torch.float32; expected one integer for each image$"),
        ([True, False, True], r"^labels are torch.bool; expected one integer for each image$"),
        (5, r"^3 images came with labels of shape \(\)$"),
    ],
)
def test_labels_that_are_none_are_refused(evaluator: Evaluator, gen: torch.Tensor, given, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _update_unchecked(evaluator, gen[:3], labels=given)


@pytest.mark.parametrize("first_with", [True, False])
def test_some_calls_with_indices_are_refused(evaluator: Evaluator, gen: torch.Tensor, first_with: bool) -> None:
    evaluator.update(gen[:2], torch.arange(2) if first_with else None)
    with pytest.raises(
        UsageError,
        match=r"^give indices in every update\(\) or in none; counted and given ones would collide$",
    ):
        evaluator.update(gen[2:4], None if first_with else torch.arange(2, 4))


def test_index_twice_is_refused(evaluator: Evaluator, gen: torch.Tensor) -> None:
    evaluator.update(gen[:3], torch.tensor([0, 1, 2]))
    for again, named in (([2, 3, 4], "2"), ([3, 4, 3], "3"), ([1, 5, 0], "0, 1")):
        with pytest.raises(UsageError, match=rf"fed more than once \(indices {named}\), and would count twice"):
            evaluator.update(gen[3:6], torch.tensor(again))
    # What is refused changes nothing.
    evaluator.update(gen[3:], torch.arange(3, COUNT))
    assert evaluator.compute().gen.num_samples == COUNT


class TestAfterAnError:
    """A network's features come when it has the next batch: by then images are counted that no statistics hold."""

    @pytest.fixture
    def broken(self, ref: Stats, monkeypatch) -> Evaluator:
        """Of ``fd`` alone, and NaN for batches with a white image."""
        evaluator = Evaluator(ref, ["fid"], extractor=NET, device="cpu", batch_size=4)
        network = evaluator._networks.extractor(NET)
        forward = network.forward

        def faulty(inputs: torch.Tensor, wanted) -> dict[str, torch.Tensor]:
            white = (inputs >= inputs.new_tensor(1.99)).flatten(1).all(dim=1)
            return {
                name: found.masked_fill(white[:, None], torch.nan) for name, found in forward(inputs, wanted).items()
            }

        monkeypatch.setattr(network, "forward", faulty)
        return evaluator

    @staticmethod
    def feed(evaluator: Evaluator, batches: list[torch.Tensor]) -> list[int]:
        """Which calls raise, of a loop that catches and goes on."""
        raised = []
        for number, batch in enumerate(batches):
            try:
                evaluator.update(batch)
            except StatisticsError:
                raised.append(number)
        return raised

    def test_nothing_more_is_taken_and_nothing_computed(self, broken: Evaluator, gen: torch.Tensor) -> None:
        white = torch.full_like(gen[:4], 255)
        batches = [gen[:4], white, gen[4:8], gen[8:12], gen[10:14]]
        raised = self.feed(broken, batches)
        assert raised in ([1, 2, 3, 4], [2, 3, 4])  # at the latest with the batch after it
        for _ in range(2):
            with pytest.raises(
                StatisticsError, match=r"^an earlier batch failed, .*reset\(\).* contain NaN or infinity"
            ):
                broken.compute()
        with pytest.raises(StatisticsError, match=r"failed thus: [^:]*features"):
            broken.update(gen[:4])

    def test_an_error_of_the_last_batch_stays_too(self, broken: Evaluator, gen: torch.Tensor) -> None:
        """It is found as the report is made."""
        assert self.feed(broken, [gen[:4], torch.full_like(gen[:3], 255)]) == []
        for _ in range(2):
            with pytest.raises(StatisticsError, match="contain NaN or infinity"):
                broken.compute()
        for _ in range(2):
            with pytest.raises(StatisticsError, match=r"^an earlier batch failed, (?!.*an earlier batch)"):
                broken.update(gen[:4])

    def test_an_interruption_is_one(self, broken: Evaluator, gen: torch.Tensor, monkeypatch) -> None:
        def interrupted(inputs: torch.Tensor, wanted) -> dict[str, torch.Tensor]:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(broken._networks.extractor(NET), "forward", interrupted)
            with pytest.raises(KeyboardInterrupt):
                broken.update(gen[:4])
        with pytest.raises(StatisticsError, match="failed thus: KeyboardInterrupt"):
            broken.compute()

    def test_reset_begins_anew(self, broken: Evaluator, gen: torch.Tensor, expected) -> None:
        assert self.feed(broken, [torch.full_like(gen[:4], 255), gen[:4], gen[:4]])
        broken.reset()
        assert self.feed(broken, list(gen.split(4))) == []
        report = broken.compute()
        assert report[FD].value == pytest.approx(expected[FD], rel=1e-5)
        assert report.gen.num_samples == COUNT

    def test_refused_arguments_change_nothing(self, evaluator: Evaluator, gen: torch.Tensor, expected) -> None:
        evaluator.update(gen[:8])
        with pytest.raises(UsageError):
            _update_unchecked(evaluator, gen[8:], labels=[1])
        with pytest.raises(UsageError):
            _update_unchecked(evaluator, gen[8:].float())
        evaluator.update(gen[8:])
        assert values(evaluator) == pytest.approx(expected, rel=1e-5)


def test_reference_that_lacks_what_is_needed(ref: Stats) -> None:
    with pytest.raises(StatisticsError, match=r"hold no moments of inception-v3\.tf2015/2048/tf1-bilinear-299"):
        _without_inception(ref)


def _without_inception(ref: Stats) -> None:
    """The same statistics asked for another network's metric; networks are not reached."""
    from genmetrics.engine.plan import make_plan

    for need in make_plan("fid", None, 0, has_reference=True).ref_needs:
        ref.get(need)


def _update_unchecked(evaluator: Evaluator, *arguments: object, labels: object = None) -> None:
    """Call as users do, without the type checks that tests put around every function."""
    method = Evaluator.update
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    method(evaluator, *arguments, labels=labels)
