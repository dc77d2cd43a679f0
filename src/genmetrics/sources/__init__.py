"""Where images come from: the registry of source kinds. Importing it imports neither torch nor numpy.

A kind is a name such as ``zip`` that can be put before a path (``zip:samples.bin``). Third parties add theirs
with ``register_source`` or the entry-point group ``genmetrics.sources``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genmetrics.registry import Registry

__all__ = ["SOURCES", "SourceInfo", "register_source"]


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source kind without importing it.

    Attributes:
        kind: the name, also the prefix that forces it.
        target: ``module:Class`` of an ``ImageSource``, which is called with what ``takes`` says.
        summary: one line for people.
        takes: ``text``: the class is called with the string behind the prefix, such as a path. ``object``: it
            is called with a Python object, so that the kind cannot be named on the command line.
        takes_range: whether its images may be floats, so that the class takes ``value_range`` and ``rounding``.
    """

    kind: str
    target: str
    summary: str
    takes: Literal["text", "object"] = "text"
    takes_range: bool = False


SOURCES: Registry[SourceInfo] = Registry("source kind", "genmetrics.sources")


def register_source(info: SourceInfo) -> None:
    """Add a source kind.

    Raises:
        UsageError: if the name is taken.
    """
    SOURCES.register(info.kind, info)


for _info in (
    SourceInfo("folder", "genmetrics.sources.folder:FolderSource", "image files in a folder and its subfolders"),
    SourceInfo("zip", "genmetrics.sources.archive:ZipSource", "image files in a zip archive, read in place"),
    SourceInfo(
        "tar",
        "genmetrics.sources.tar:TarSource",
        "image files in .tar, .tar.gz, .tar.bz2 or .tar.xz archives, one or a pattern of many, read in place",
    ),
    SourceInfo(
        "wds",
        "genmetrics.sources.tar:WebdatasetSource",
        "webdataset shards: like tar, but images such as key.mask.png are passed over",
    ),
    SourceInfo(
        "npz",
        "genmetrics.sources.npz:NpzSource",
        "arr_0 of an .npz file, uint8 (n, h, w, 3); arr_1 holds the labels if there are any",
    ),
    SourceInfo("npy", "genmetrics.sources.arrays:NpySource", "one array in an .npy file, uint8 (n, h, w, 3)"),
    SourceInfo(
        "parquet",
        "genmetrics.sources.table_source:ParquetSource",
        "parquet files, one or a pattern of many, with a column of images (extra 'hf')",
    ),
    SourceInfo(
        "arrow",
        "genmetrics.sources.table_source:ArrowSource",
        "arrow files or streams, one or a pattern of many, with a column of images (extra 'hf')",
    ),
    SourceInfo(
        "hf",
        "genmetrics.sources.hf:HfSource",
        "NAME[:SPLIT][:COLUMN], a dataset of the Hugging Face hub, saved to disk or in parquet files (extra 'hf')",
    ),
    SourceInfo("files", "genmetrics.sources.folder:PathListSource", "a Python list of image files", "object"),
    SourceInfo(
        "array",
        "genmetrics.sources.arrays:ArraySource",
        "a torch tensor, uint8 (n, 3, h, w), or a numpy array, uint8 (n, h, w, 3), or floats with a value_range",
        "object",
        takes_range=True,
    ),
    SourceInfo(
        "torchscript",
        "genmetrics.sources.model_file:TorchScriptSource",
        "images of a generator in a TorchScript file: torchscript:G.pt?z_size=128&num_samples=50000",
        takes_range=True,
    ),
    SourceInfo(
        "onnx",
        "genmetrics.sources.onnx:OnnxSource",
        "images of a generator in an ONNX file: onnx:G.onnx?z_size=128&num_samples=50000",
        takes_range=True,
    ),
    SourceInfo(
        "python",
        "genmetrics.sources.python_source:PythonSource",
        "what a Python function makes, a generator or any source: python:my_package.my_module:make?num_samples=50000",
        takes_range=True,
    ),
    SourceInfo(
        "dataset",
        "genmetrics.sources.torch_dataset:DatasetSource",
        "a map-style torch Dataset of images, or of images with labels",
        "object",
        takes_range=True,
    ),
    SourceInfo(
        "loader",
        "genmetrics.sources.streams:LoaderSource",
        "a torch DataLoader, with its own workers",
        "object",
        takes_range=True,
    ),
    SourceInfo(
        "iterable",
        "genmetrics.sources.streams:IterableSource",
        "an iterable of images or batches, such as an IterableDataset or a Python generator",
        "object",
        takes_range=True,
    ),
    SourceInfo(
        "generator",
        "genmetrics.sources.generator:GeneratorSource",
        "images of an nn.Module or function, as gm.GeneratorSource(module, z_size=…, num_samples=…)",
        "object",
        takes_range=True,
    ),
):
    register_source(_info)
