"""clean-fid's wrapper of NVIDIA's TorchScript Inception: here the same weights, and no TorchScript."""

from __future__ import annotations

from pathlib import Path

from genmetrics.compat.cleanfid.network import METRIC_OF_MODE, Network

__all__ = ["InceptionV3W"]


class InceptionV3W(Network):
    """A function of images, (n, 3, h, w), 0..255, to their (n, 2048) features.

    The weights are those of ``inception-v3.tf2015``, which are found and fetched as everywhere in genmetrics.
    """

    def __init__(self, path: str | Path = "./", download: bool = True, resize_inside: bool = False) -> None:
        """Find the weights; it runs on a GPU where there is one.

        Args:
            path: is taken and changes nothing: clean-fid puts the TorchScript file there, which is not needed.
            download: likewise.
            resize_inside: whether images of any size are resized as TensorFlow 1 does; otherwise they are 299×299.

        Raises:
            WeightsError: if the weights are missing or refused.
        """
        super().__init__(METRIC_OF_MODE["legacy_tensorflow" if resize_inside else "clean"], resizes=resize_inside)
        self.resize_inside = resize_inside
