"""Small tensors on their way to a device: whose memory they are read from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genmetrics import devices
from genmetrics.engine.device_queue import CudaStreams


class Pinned(torch.Tensor):
    """In page-locked memory, by its own account."""

    def is_pinned(self, device: object = None) -> bool:
        return True

    def pin_memory(self, device: object = None) -> Tensor:
        return self


class Blocks:
    """Page-locked blocks that torch hands out, where it has none."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[Tensor] = []
        plain = torch.empty_like

        def empty_like(values: Tensor, *, pin_memory: bool = False) -> Tensor:
            made = plain(values.as_subclass(torch.Tensor))
            if pin_memory:
                self.made.append(made)
            return made

        patch.setattr(devices.torch, "empty_like", empty_like)


@pytest.mark.parametrize("pinned", [False, True])
def test_what_is_copied_is_never_the_callers_memory(pinned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(6.0)
    if pinned:
        values = values.as_subclass(Pinned)
        assert values.pin_memory() is values
    else:
        # A CPU-only torch has no page-locked memory.
        monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    blocks = Blocks(monkeypatch)
    staged = devices.staged(values)
    values.fill_(-1)
    assert staged.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [block.data_ptr() for block in blocks.made] == [staged.data_ptr()]


def test_images_go_by_way_of_such_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks(monkeypatch)
    images = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2).as_subclass(Pinned)
    # The block itself, which on a CPU would not be copied on.
    monkeypatch.setattr("genmetrics.engine.device_queue.sent", lambda values, device: devices.staged(values))
    arrived = CudaStreams(torch.device("cpu")).copy(images)
    images.fill_(0)
    assert arrived.flatten().tolist() == list(range(12))
    assert len(blocks.made) == 1


@pytest.mark.gpu
def test_a_page_locked_tensor_may_be_changed_at_once() -> None:
    weight = torch.zeros((4096, 4096), device="cuda")
    buffer = torch.zeros(2**20, dtype=torch.int64, pin_memory=True)
    arrived = []
    for number in range(10):
        for _ in range(20):  # slower than the copies
            weight @ weight
        buffer.fill_(number)
        arrived.append(devices.sent(buffer, torch.device("cuda", 0)))
        buffer.fill_(-1)
    assert [one.unique().tolist() for one in arrived] == [[number] for number in range(10)]
