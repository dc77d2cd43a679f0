"""The process's own precision switches: ours inside, the caller's afterwards, whichever way it set them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from genmetrics.extractors.base import load_extractor
from genmetrics.precision import at_least_float32, computing_at

CPU = torch.device("cpu")


def switches() -> list[str]:
    backends = torch.backends
    return [
        entry.fp32_precision
        for entry in (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
    ]


def set_new() -> None:
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cuda.matmul.fp32_precision = "tf32"


@pytest.fixture(
    params=[
        lambda: None,
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),
        set_new,
    ],
    ids=["untouched", "high", "medium", "new switches"],
)
def chosen(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    before = switches()
    set_up: Callable[[], None] = request.param
    set_up()
    yield switches()
    torch.set_float32_matmul_precision("highest")
    for entry, value in zip(
        (
            torch.backends.cudnn.conv,
            torch.backends.cuda.matmul,
            torch.backends.mkldnn.conv,
            torch.backends.mkldnn.matmul,
        ),
        before,
        strict=True,
    ):
        entry.fp32_precision = value


@pytest.mark.parametrize(("precision", "inside"), [("exact", "ieee"), ("tf32", "tf32")])
def test_ours_inside_the_callers_afterwards(chosen, precision, inside):
    with computing_at(precision, CPU):
        assert switches() == [inside] * 4
    assert switches() == chosen


def test_put_back_after_an_error(chosen):
    with pytest.raises(ZeroDivisionError), computing_at("exact", CPU):
        raise ZeroDivisionError
    assert switches() == chosen


def test_the_callers_autocast_does_not_reach_in():
    extractor = load_extractor("efficientnet-lite0.in1k")
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = extractor(images, ["1280"])["1280"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extractor(images, ["1280"])["1280"], expected)
    # The negative control: where autocast is asked for, the features are others.
    extractor.to(CPU, "bf16")
    assert not torch.equal(extractor(images, ["1280"])["1280"], expected)


@pytest.mark.parametrize(
    ("given", "found"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_what_is_pooled_is_at_least_float32(given: torch.dtype, found: torch.dtype) -> None:
    assert at_least_float32(torch.ones(2, dtype=given)).dtype == found
