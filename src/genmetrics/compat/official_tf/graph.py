"""The network of 2015-12-05 by whatever file it is in: the official graph, or the weights that were made of it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genmetrics import distributed
from genmetrics.compat.is_fid_pytorch.network import SharedNetwork, devices_to_use
from genmetrics.engine.options import Options
from genmetrics.errors import UsageError, WeightsError
from genmetrics.extractors.graphdef import OFFICIAL
from genmetrics.extractors.published import PUBLISHED
from genmetrics.extractors.weights import fetch_weights, find_weights
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear

__all__ = ["EXTRACTOR", "InceptionGraph", "graph_of", "model_file"]

EXTRACTOR = "inception-v3.tf2015"
_SIDE = 299


class InceptionGraph:
    """The network, and the file of its weights; it is loaded when it is first used.

    Attributes:
        weights: the weight file, as ``genmetrics.evaluate`` takes it. Of a graph it is a temporary one, which goes with
            this object.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Find the weights.

        Args:
            path: ``classify_image_graph_def.pb`` or its folder, or a weight file; None takes the published weights.

        Raises:
            WeightsError: if there is no such file, it is damaged, or holds something else.
        """
        found = Path(model_file(path))
        self.weights = self._converted(found) if found.suffix == ".pb" else found
        self._network: SharedNetwork | None = None

    def features(
        self, images: Sequence[np.ndarray] | np.ndarray, output: str, batch_size: int
    ) -> Iterator[tuple[Float32[Tensor, "n _"], Int64[Tensor, " n"]]]:
        """An output for images of any sizes, with their places; those of one size go through together.

        Args:
            images: (h, w, 3) each, 0..255 of any type; they need not be whole numbers.
            output: ``2048``, the graph's ``pool_3``, or ``logits_unbiased``, its softmax's input without the bias.
            batch_size: the most images that go through at once.

        Raises:
            UsageError: if an image is something else.
        """
        if self._network is None:
            self._network = SharedNetwork(EXTRACTOR, devices_to_use(True), self.weights)
        devices = self._network.devices
        most = min(batch_size, len(devices) * Options().batch_size_on(devices[0]))
        waiting: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(images):
            _check(image, place)
            same = waiting.setdefault(image.shape, [])
            same.append(place)
            if len(same) == most:
                yield self._through(images, waiting.pop(image.shape), output)
        for places in waiting.values():
            yield self._through(images, places, output)

    def _through(
        self, images: Sequence[np.ndarray] | np.ndarray, places: list[int], output: str
    ) -> tuple[Tensor, Tensor]:
        assert self._network is not None
        batch = torch.from_numpy(np.stack([np.asarray(images[place], dtype=np.float32) for place in places]))
        found = self._network(batch.permute(0, 3, 1, 2).contiguous(), _prepared, (output,))
        return found[output], torch.tensor(places)

    def _converted(self, graph: Path) -> Path:
        from safetensors.torch import save_file

        from genmetrics.extractors.inception_graph import inception_state_dict

        state = inception_state_dict(graph)
        folder = tempfile.mkdtemp(prefix="genmetrics-graph-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        target = Path(folder) / f"{EXTRACTOR}.safetensors"
        save_file(state, target)
        return target


def model_file(path: str | Path | None) -> str:
    """The file that holds the network.

    Args:
        path: a folder with ``classify_image_graph_def.pb``, that file, or a weight file; None finds the published
            weights, or fetches them.

    Raises:
        WeightsError: if there is none.
    """
    if path is None:
        published = PUBLISHED[EXTRACTOR]
        found = find_weights(published)
        if found is None:
            if distributed.current_shard().index == 0:
                print("Downloading Inception model", flush=True)
            found = fetch_weights(published)
        return str(found.path)
    given = Path(path).expanduser()
    file = given / OFFICIAL if given.is_dir() else given
    if not file.is_file():
        raise WeightsError(
            f"inception path '{path}': there is no '{file}'; unpack inception-2015-12-05.tgz there, or leave the path "
            "out for the published weights, which are of the same network"
        )
    return str(file)


def graph_of(sess: Any) -> InceptionGraph:
    """The network of an argument in whose place TensorFlow's scripts take a session.

    Raises:
        UsageError: if it is something else.
        WeightsError: if the published weights are asked for, and missing or refused.
    """
    if sess is None:
        return InceptionGraph()
    if not isinstance(sess, InceptionGraph):
        raise UsageError(
            f"sess is a {type(sess).__name__}, and no TensorFlow runs here: give what create_inception_graph(path) "
            "returns, or None for the published weights"
        )
    return sess


def _prepared(images: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 299 299"]:
    """What the graph itself does with its input."""
    return resize_tf1_bilinear(images, (_SIDE, _SIDE)).sub_(128.0).div_(128.0)


def _check(image: object, place: int) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind not in "uif":
        shown = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"image {place} is {shown}; expected an array (h, w, 3) of numbers in 0..255")
    least, most = float(image.min()), float(image.max())
    if not 0 <= least <= most <= 256:
        raise UsageError(f"image {place} has values in {least:.4g}..{most:.4g}; expected 0..255, without NaN")
