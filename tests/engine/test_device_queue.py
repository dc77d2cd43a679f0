"""The order in which a device is fed, on a device that is made up; on a real one where there is one."""

from __future__ import annotations

import pytest
import torch

from genmetrics.engine.device_queue import DeviceQueue, OneStream, device_queue
from support.late_device import Recorded


def test_images_are_copied_aside_and_the_network_waits_for_them() -> None:
    streams = Recorded()
    queue = DeviceQueue(streams)
    images = torch.zeros((2, 3, 4, 5), dtype=torch.uint8)
    assert torch.equal(queue.upload(images), images)
    assert streams.log == [("copy", "copies"), ("record", "copies", 1), ("wait", "main", 1), ("keep", "main")]


def test_statistics_wait_for_their_features_and_the_network_does_not_wait_for_them() -> None:
    streams = Recorded()
    queue = DeviceQueue(streams)
    streams.launch("network")
    with queue.statistics([torch.zeros(2), torch.zeros(3)]):
        streams.launch("moments")
    streams.launch("network")
    assert streams.log == [
        ("network", "main"),
        ("record", "main", 1),
        ("wait", "statistics", 1),
        ("keep", "statistics"),
        ("keep", "statistics"),
        ("moments", "statistics"),
        ("record", "statistics", 2),
        ("network", "main"),
    ]
    queue.join()
    assert streams.log[-2:] == [("record", "statistics", 3), ("wait", "main", 3)]


def test_the_caller_gets_only_so_far_ahead() -> None:
    streams = Recorded()
    queue = DeviceQueue(streams, most_ahead=3)
    behind: list[int] = []
    for _ in range(8):
        with queue.statistics([]):
            pass
        done = [entry[1] for entry in streams.log if entry[0] == "block"]
        recorded = [entry[2] for entry in streams.log if entry[:2] == ("record", "statistics")]
        behind.append(len(recorded) - len(done))
        assert done == recorded[: len(done)]  # the oldest first, and never the last
    assert behind == [1, 2, 3, 3, 3, 3, 3, 3]


def test_a_failure_in_the_statistics_leaves_the_network_its_stream() -> None:
    streams = Recorded()
    queue = DeviceQueue(streams)
    with pytest.raises(ValueError, match="broken"), queue.statistics([]):
        raise ValueError("broken")
    assert streams.current() == "main"


def test_on_a_cpu_images_are_taken_as_they_are() -> None:
    queue = device_queue(torch.device("cpu"))
    images = torch.zeros((2, 3, 4, 5), dtype=torch.uint8)
    assert queue.upload(images) is images
    with queue.statistics([torch.zeros(2)]):
        pass
    queue.join()
    assert isinstance(queue._streams, OneStream)


@pytest.mark.gpu
def test_images_of_changing_sizes_arrive_whole_and_their_memory_may_be_changed() -> None:
    queue = device_queue(torch.device("cuda", 0))
    generator = torch.Generator().manual_seed(3)
    sums, expected = [], []
    for number in range(60):
        size = (8 + number % 5, 3, 64 + number % 7, 200 - number % 11)
        images = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
        expected.append(int(images.sum(dtype=torch.int64)))
        arrived = queue.upload(images)
        images.zero_()  # the caller's again
        made = arrived.sum(dtype=torch.int64)
        del arrived
        with queue.statistics([made]):
            sums.append(made + 0)
    queue.join()
    assert torch.stack(sums).tolist() == expected


@pytest.mark.gpu
def test_memory_is_bounded_however_fast_images_come() -> None:
    queue = device_queue(torch.device("cuda", 0))
    images = torch.zeros((64, 3, 256, 256), dtype=torch.uint8)
    weight = torch.zeros((4096, 4096), device="cuda")

    def feed(count: int) -> int:
        torch.cuda.reset_peak_memory_stats()
        for _ in range(count):
            arrived = queue.upload(images)
            for _ in range(20):  # slower than the copies
                weight @ weight
            with queue.statistics([arrived]):
                arrived.sum(dtype=torch.int64)
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()

    feed(5)
    assert feed(60) <= feed(12) + 2 * images.nbytes


@pytest.mark.gpu
def test_a_page_locked_buffer_that_is_used_again_is_not_read_after_the_call() -> None:
    """As of a loader that pins its batches: torch would copy from such memory without a block of its own."""
    queue = device_queue(torch.device("cuda", 0))
    buffer = torch.zeros((32, 3, 256, 256), dtype=torch.uint8, pin_memory=True)
    weight = torch.zeros((4096, 4096), device="cuda")
    arrived = []
    for number in range(20):
        for _ in range(20):  # slower than the copies
            weight @ weight
        buffer.fill_(number)
        arrived.append(queue.upload(buffer))
        buffer.fill_(255)
    assert [one.unique().tolist() for one in arrived] == [[number] for number in range(20)]
