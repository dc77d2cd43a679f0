"""Keys tell images from one another, and of too many images there are none, whichever way they came."""

from __future__ import annotations

import pytest
import torch

from genmetrics.accumulators.content import image_hashes
from genmetrics.accumulators.image_keys import ImageKeys, keys_of

MOST = 10


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageKeys, "most", MOST)


def fed(*parts: range) -> ImageKeys:
    keys = ImageKeys()
    for part in parts:
        indices = torch.tensor(list(part), dtype=torch.int64)
        keys.update(indices * 7, indices)
    return keys


def test_a_key_is_the_beginning_of_a_hash() -> None:
    assert keys_of([0, 2**256 - 1, 2**255, 5 << 192]).tolist() == [-(2**63), 2**63 - 1, 0, 5 - 2**63]
    assert keys_of([]).shape == (0,)
    image = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)
    again = torch.cat((image, image[:1], image[:1] ^ 1))
    values = keys_of(image_hashes(again)).tolist()
    assert values[0] == values[2] and len(set(values)) == 3


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("count", [0, 9, 10, 11, 25])
def test_of_too_many_none_is_kept(count: int) -> None:
    everything = range(count)
    ways = [
        fed(everything),
        fed(*(range(index, index + 1) for index in everything)),
        fed(everything[:4]).merge(fed(everything[4:])),
        fed(everything[4:]).merge(fed(everything[:2])).merge(fed(everything[2:4])),
        ImageKeys.from_state(fed(everything).state()),
        ImageKeys.from_state(fed(everything[:-1]).state()).merge(fed(everything[-1:])),
    ]
    for keys in ways:
        assert keys.num_samples == count
        assert keys.complete == (count <= MOST)
        assert keys.values().tolist() == ([7 * index for index in everything] if count <= MOST else [])


@pytest.mark.usefixtures("few")
def test_none_that_was_dropped_comes_back() -> None:
    keys = fed(range(11))
    keys.update(torch.tensor([1]), torch.tensor([11]))
    for later in (keys, keys.merge(ImageKeys()), ImageKeys().merge(keys), ImageKeys.from_state(keys.state())):
        assert (later.num_samples, later.complete, later.values().tolist()) == (12, False, [])


def test_it_is_as_much_as_documented() -> None:
    assert ImageKeys.most * 16 == 80e6
