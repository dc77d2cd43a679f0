"""Files of the hub at one commit, and where they are found before anything is fetched."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from genmetrics.errors import MissingWeightsError, WeightsError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.hub_files import HubFile, hub_cache
from genmetrics.extractors.published import PUBLISHED
from genmetrics.extractors.weights import WeightsFile, fetch_weights, find_weights

CONTENT, OTHER = b"the published bytes", b"the same tensors in another file"
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (CONTENT, OTHER))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "dinov2-vits14.lvd142m"


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Our own folder, and the file in the hub's cache."""
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "own", tmp_path / "hf/hub/models--facebook--x/snapshots" / COMMIT / "model.safetensors"


@pytest.fixture
def published():
    file = HubFile("facebook/x", COMMIT, "model.safetensors")
    return replace(
        PUBLISHED[NAME],
        urls={"x-1234.safetensors": "http://127.0.0.1:9/x"},
        sha256=SHA256,
        hub=file,
        others={"x.pth": OTHER_SHA256},
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_the_librarys(monkeypatch, variables, expected):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_cache() == Path(expected)


def test_a_file_of_the_cache_is_taken(homes, published):
    _, cached = homes
    assert published.hub.url == f"https://huggingface.co/facebook/x/resolve/{COMMIT}/model.safetensors"
    assert find_weights(published) is None
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert find_weights(published) == WeightsFile(cached, SHA256, official=True)


def test_other_content_at_that_commit_is_refused(homes, published):
    _, cached = homes
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"broken")
    with pytest.raises(WeightsError, match="has the published name of the weights"):
        find_weights(published)


def test_our_folder_comes_first_and_the_other_published_file_counts(homes, published):
    own, cached = homes
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    own.mkdir()
    (own / "x.pth").write_bytes(OTHER)
    assert find_weights(published) == WeightsFile(own / "x.pth", OTHER_SHA256, official=True)
    (own / "x-1234.safetensors").write_bytes(CONTENT)
    assert find_weights(published) == WeightsFile(own / "x-1234.safetensors", SHA256, official=True)
    assert find_weights(published, own / "x.pth").official is True


def test_nowhere(homes, published):
    _, cached = homes
    with pytest.raises(MissingWeightsError) as caught:
        fetch_weights(published)
    assert f"looked for x-1234.safetensors in '{homes[0]}'" in str(caught.value)
    assert f", and for '{cached}'; downloading failed" in str(caught.value)


def test_every_pin_is_whole():
    names = [name for weights in PUBLISHED.values() for name in weights.urls if "vgg16" not in name]
    assert len(names) == len(set(names)), "files of two networks would take each other's place"
    for name, weights in PUBLISHED.items():
        assert name == weights.extractor and name in EXTRACTORS
        for digest in (weights.sha256, *weights.others.values()):
            assert set(digest) <= set("0123456789abcdef")
            # torchvision publishes the beginning of a sha256 in the file's name, and no more.
            assert len(digest) == 64 or (len(digest) >= 8 and f"-{digest}." in next(iter(weights.urls))), name
        if weights.hub is not None:
            assert len(weights.hub.revision) == 40
            ((file, url),) = weights.urls.items()
            assert url == weights.hub.url and weights.sha256[:8] in file


def test_status_lists_them(homes, capsys):
    from genmetrics.cli.weights import status_command

    status_command(as_json=True)
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries.keys() == PUBLISHED.keys()
    assert entries[NAME]["problem"] == "not here"
