"""Any ``nn.Module`` as an extractor, by the name ``python:file.py:name`` or ``python:package.module:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import GenmetricsError, UsageError
from genmetrics.extractors.base import ExtractorByName
from genmetrics.extractors.weights import WeightsFile
from genmetrics.preprocess.spec import Preprocess, get_preprocess, register_preprocess
from genmetrics.types import ExtractorInfo

__all__ = ["PythonModel", "python_model_info"]

#: What a module that does not say it gets.
_PREPROCESS = "pil-bicubic-224-imagenet"
_ALONE = "features"
_LOGITS = "logits"


def python_model_info(name: str) -> ExtractorInfo:
    """What is known of ``python:…``: it is made, and given one image.

    Raises:
        UsageError: if the name means nothing, or what it names is no network of images.
    """
    return _info(name, _state_of(_target(name)[0]))


@lru_cache(maxsize=32)
def _info(name: str, state: int | None) -> ExtractorInfo:
    """Once for each state of the file, for a run asks often."""
    del state
    network = _made(name)
    preprocess = _preprocess_of(network, name)
    with torch.inference_mode():
        features = _features(network, get_preprocess(preprocess)(_test_image()), name)
    widths = {feature: values.shape[1] for feature, values in features.items()}
    return ExtractorInfo(
        id=name,
        target="genmetrics.extractors.python_model:PythonModel",
        summary=f"{type(network).__name__} of your own",
        features=widths,
        preprocess=preprocess,
        pool=next((feature for feature in widths if feature != _LOGITS), _LOGITS),
        logits=_LOGITS if _LOGITS in widths else None,
        licence="its own",
    )


class PythonModel(ExtractorByName):
    """What a function or class gives that is called without arguments, or an ``nn.Module`` itself.

    It takes float32 images, preprocessed as its attribute ``preprocess`` says (a ``Preprocess`` or the id of one) or by
    Pillow's bicubic to 224 x 224 and ImageNet's normalisation, and returns (n, d) features, or several by name; ones
    named ``logits`` serve the Inception Score. Statistics of it are never kept: code cannot be known.
    """

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        if weights is not None:
            raise UsageError(f"extractor {self.name!r} takes care of its own weights; leave out '--weights {weights}'")
        self.info = python_model_info(self.name)
        self.network = _made(self.name)
        self.weights = WeightsFile(Path(_target(self.name)[0]), _digest(self.network), official=None)

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the network on preprocessed inputs."""
        features = _features(self.network, inputs, self.name)
        return {name: features[name] for name in wanted}


def _target(name: str) -> tuple[str, str]:
    """The file or module, and what it is called there."""
    module, colon, attribute = name.removeprefix("python:").rpartition(":")
    if not colon or not module or not attribute:
        raise UsageError(
            f"extractor {name!r}: expected 'python:file.py:name' or 'python:package.module:name', as in "
            "'python:my_networks.py:make'"
        )
    return module, attribute


def _state_of(module: str) -> int | None:
    path = Path(module).expanduser()
    return path.stat().st_mtime_ns if module.endswith(".py") and path.is_file() else None


def _made(name: str) -> nn.Module:
    module_name, attribute = _target(name)
    found = getattr(_imported(module_name, name), attribute, None)
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise UsageError(
                f"extractor {name!r}: '{module_name}' has {'no' if found is None else 'no function, class or network'} "
                f"'{attribute}'"
            )
        try:
            found = found()
        except GenmetricsError:
            raise
        except Exception as error:
            raise UsageError(
                f"extractor {name!r}: calling it without arguments failed: {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, nn.Module):
        raise UsageError(f"extractor {name!r} gives a {type(found).__name__}; expected an nn.Module")
    return found.to("cpu", torch.float32).eval().requires_grad_(False)


def _imported(module: str, name: str) -> Any:
    try:
        if not module.endswith(".py"):
            return importlib.import_module(module)
        path = Path(module).expanduser().resolve()
        alias = f"genmetrics_python_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        spec = importlib.util.spec_from_file_location(alias, path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise UsageError(
            f"extractor {name!r}: there is no '{module}', or something that it imports: {error}; give the path of a "
            "file, or install the module or put its folder on PYTHONPATH"
        ) from error
    except Exception as error:
        raise UsageError(f"extractor {name!r}: importing '{module}' failed: {type(error).__name__}: {error}") from error


def _preprocess_of(network: nn.Module, name: str) -> str:
    given = getattr(network, "preprocess", _PREPROCESS)
    if isinstance(given, Preprocess):
        return register_preprocess(given)
    if isinstance(given, str):
        return get_preprocess(given).id
    raise UsageError(
        f"extractor {name!r}: its attribute 'preprocess' is a {type(given).__name__}; expected a "
        "genmetrics.preprocess.spec.Preprocess or the id of one"
    )


def _test_image() -> Tensor:
    ramp = torch.arange(256, dtype=torch.uint8)
    return torch.stack((ramp.expand(256, 256), ramp.expand(256, 256).T, 255 - ramp.expand(256, 256)))[None].contiguous()


def _features(network: nn.Module, inputs: Tensor, name: str) -> dict[str, Tensor]:
    try:
        found = network(inputs)
    except Exception as error:
        raise UsageError(
            f"extractor {name!r}: its network failed on images of shape {tuple(inputs.shape)}: {type(error).__name__}: "
            f"{error}; say with its attribute 'preprocess' which images it takes"
        ) from error
    features = dict(found) if isinstance(found, Mapping) else {_ALONE: found}
    wrong = [
        (key, value)
        for key, value in features.items()
        if not (isinstance(value, Tensor) and value.ndim == 2 and value.shape[0] == inputs.shape[0])
    ]
    if wrong or not features:
        key, value = wrong[0] if wrong else (_ALONE, None)
        given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise UsageError(
            f"extractor {name!r} gives {given} as {key!r} of {inputs.shape[0]} images; expected (n, d) features, or "
            "several by name"
        )
    return features


def _digest(network: nn.Module) -> str:
    """Of the names, types, shapes and bytes of its weights."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        if value.numel():
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
