"""Hashing images with several threads and from a device: the digest is that of one thread."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.content import ContentDigest
from genmetrics.engine.device_queue import DeviceQueue
from genmetrics.engine.hashing import Hashing
from support.late_device import Recorded, waiting_is_an_error

CPU = torch.device("cpu")


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    sizes = [(5, 3, 4, 6), (1, 3, 4, 6), (0, 3, 4, 6), (9, 3, 30, 20), (2, 3, 4, 6)]
    return [torch.randint(0, 256, size, generator=generator, dtype=torch.uint8) for size in sizes]


def numbers(images: Tensor) -> Tensor:
    return torch.arange(len(images))


def plain(made: list[Tensor]) -> str:
    digest = ContentDigest()
    for images in made:
        digest.update(images, torch.arange(len(images)))
    return digest.hexdigest()


@pytest.mark.parametrize("threads", [None, 0, 1, 2, 4])
def test_any_number_of_threads_gives_the_same(threads):
    hashing = Hashing(CPU, threads)
    for images in batches():
        with hashing.reading(images, numbers(images)):
            pass
        images.zero_()  # the caller's again
    assert hashing.digest().hexdigest() == plain(batches())
    assert hashing.num_samples == hashing.digest().num_samples == 17
    assert hashing.digest().hexdigest() != plain(batches()[1:])


def test_a_digest_can_be_read_between():
    hashing = Hashing(CPU, 2)
    for number, images in enumerate(batches()):
        with hashing.reading(images, numbers(images)):
            pass
        assert hashing.digest().hexdigest() == plain(batches()[: number + 1])


def test_images_that_were_not_taken_are_not_counted():
    hashing = Hashing(CPU)
    with pytest.raises(ValueError, match="broken"), hashing.reading(batches()[0], numbers(batches()[0])):
        raise ValueError("broken")
    assert hashing.num_samples == hashing.digest().num_samples == 0


def test_a_copy_from_a_device_goes_beside_the_network():
    streams = Recorded()
    queue, images = DeviceQueue(streams), batches()[0]
    with queue.beside(images) as fetched:
        streams.launch("network")
    assert torch.equal(fetched.take(), images)
    assert streams.log == [
        ("record", "main", 1),
        ("wait", "back", 1),
        ("keep", "back"),
        ("record", "back", 2),
        ("network", "main"),
        ("wait", "main", 2),
    ]


def test_images_of_another_device_than_the_queues_are_not_given_to_its_streams(monkeypatch):
    """Streams of one GPU do not wait for what another one does: those images are copied, and waited for."""
    streams = Recorded()
    monkeypatch.setattr("genmetrics.engine.hashing.device_queue", lambda device: DeviceQueue(streams))
    taken = []
    for own, beside in (("cpu", True), ("cuda:0", False), ("cuda:1", False)):
        hashing = Hashing(torch.device(own), 1)
        with hashing.reading(batches()[0], numbers(batches()[0])):
            pass
        taken.append(any(entry[:2] == ("wait", "back") for entry in streams.log))
        assert taken[-1] == beside, own
        assert hashing.digest().hexdigest() == plain(batches()[:1])
        streams.log.clear()
        streams.names = iter(("copies", "statistics", "back"))


@pytest.mark.gpu
def test_images_on_a_gpu_may_be_changed_at_once_and_are_not_waited_for():
    hashing = Hashing(torch.device("cuda", 0))
    on_gpu = [images.cuda() for images in batches()]
    with hashing.reading(on_gpu[0], numbers(on_gpu[0])):
        pass
    with waiting_is_an_error():
        for images in on_gpu[1:]:
            with hashing.reading(images, numbers(images)):
                pass
            images.zero_()
    assert hashing.digest().hexdigest() == plain(batches())


@pytest.mark.parametrize("threads", [0, 3])
def test_each_image_has_its_own_key_under_its_number(threads):
    """The numbers may be changed afterwards, as the images may."""
    hashing, images = Hashing(CPU, threads), batches()[3]
    for part in (slice(4, 9), slice(0, 4)):
        given = torch.arange(9)[part].clone()
        with hashing.reading(images[part], given):
            pass
        given.fill_(-1)
    keys = hashing.keys()
    assert keys.indices().tolist() == list(range(9))
    assert keys.values().tolist() == [hash_of(image) for image in images]
    with hashing.reading(images[:1], torch.tensor([9])):
        pass
    assert (keys.num_samples, hashing.keys().num_samples) == (9, 10)
    assert hashing.keys().values()[9] == keys.values()[0]


def hash_of(image: Tensor) -> int:
    """The first 64 bits of the image's sha256, as documented, signed."""
    height, width = image.shape[1:]
    digest = hashlib.sha256(f"{height}x{width}:".encode() + image.numpy().tobytes()).digest()
    return int.from_bytes(digest[:8], "big") - 2**63
