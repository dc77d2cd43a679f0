"""The digest of an image set: the same for the same pixels, another for any other set."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from genmetrics.accumulators.content import ContentDigest, image_hash


def images(count: int, height: int = 4, width: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 3, height, width), dtype=np.uint8))


def digest_of(*batches: torch.Tensor) -> str:
    digest = ContentDigest()
    for batch in batches:
        digest.update(batch, torch.arange(len(batch)))
    return digest.hexdigest()


def test_is_the_sum_of_the_images_sha256() -> None:
    batch = images(3)
    total = sum(int.from_bytes(hashlib.sha256(b"4x6:" + image.numpy().tobytes()).digest(), "big") for image in batch)
    assert digest_of(batch) == f"{total % 2**256:064x}"


def test_neither_order_nor_batches_matter() -> None:
    batch = images(5)
    assert digest_of(batch) == digest_of(batch.flip(0)) == digest_of(batch[3:], batch[:1], batch[1:3])


def test_indices_play_no_part() -> None:
    batch, moved = images(3), ContentDigest()
    moved.update(batch, torch.tensor([90, 4, 17]))
    assert moved.hexdigest() == digest_of(batch)


def test_one_pixel_changes_it() -> None:
    batch = images(4)
    changed = batch.clone()
    changed[2, 1, 3, 5] ^= 1
    assert digest_of(batch) != digest_of(changed)


def test_every_copy_counts() -> None:
    one = images(1)
    digests = {digest_of(*[one] * copies) for copies in range(5)}
    assert len(digests) == 5
    # Two of a and one of b are not one of a and two of b, nor do pairs cancel out.
    a, b = images(2)[:, None]
    assert digest_of(a, a, b) != digest_of(a, b, b)
    assert digest_of(a, a) != digest_of(b, b)


def test_the_same_bytes_in_another_shape_are_another_image() -> None:
    batch = images(2, 4, 6)
    assert digest_of(batch) != digest_of(batch.reshape(2, 3, 6, 4))
    assert digest_of(batch) != digest_of(batch.reshape(2, 3, 2, 12))


def test_swapped_channels_are_another_image() -> None:
    batch = images(2)
    assert digest_of(batch) != digest_of(batch.flip(1))


def test_memory_layout_does_not_matter() -> None:
    batch = images(3)
    assert digest_of(batch) == digest_of(batch.contiguous(memory_format=torch.channels_last))
    assert digest_of(batch[::2]) == digest_of(batch[::2].contiguous())


def test_sizes_may_differ_between_batches() -> None:
    assert digest_of(images(2), images(1, 9, 9)) == digest_of(images(1, 9, 9), images(2))


def test_nothing_is_sixty_four_zeros() -> None:
    assert ContentDigest().hexdigest() == "0" * 64


def test_state_holds_count_and_sum() -> None:
    digest = ContentDigest()
    digest.update(images(3), torch.arange(3))
    state = digest.state()
    assert int(state["count"]) == 3
    assert bytes(state["sum"].tolist()).hex() == digest.hexdigest()
    back = ContentDigest.from_state(state)
    assert (back.num_samples, back.hexdigest()) == (3, digest.hexdigest())


def test_hashes_that_are_known_count_like_images() -> None:
    batch = images(4)
    known = ContentDigest()
    known.add(image_hash(image.numpy()) for image in batch[:3])
    known.update(batch[3:], torch.arange(1))
    assert (known.num_samples, known.hexdigest()) == (4, digest_of(batch))
