"""Any ``nn.Module`` as an extractor, by the name ``python:file.py:name`` or ``python:package.module:name``."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import GenmetricsError, UsageError
from genmetrics.extractors.base import ExtractorByName
from genmetrics.extractors.weights import WeightsFile
from genmetrics.preprocess.spec import Preprocess, get_preprocess, register_preprocess
from genmetrics.python_code import code_digest, import_code, split_code_name, state_of_code
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
    return _made(name).info


@dataclass
class _Made:
    """A network that was made to be looked at, until the extractor takes it.

    Attributes:
        info: what is known of it.
        sha256: of what decides on its features; None if that cannot be told.
    """

    info: ExtractorInfo
    sha256: str | None
    _name: str
    _network: nn.Module | None

    def take(self) -> nn.Module:
        """The network, to the one who asks first; others get another, for it will be moved between devices."""
        network, self._network = self._network, None
        return network if network is not None else _network(self._name)[1]


def _made(name: str) -> _Made:
    return _made_once(name, state_of_code(_target(name)[0]))


@lru_cache(maxsize=8)
def _made_once(name: str, state: str | None) -> _Made:
    """Once for each state of the file, for a run asks often."""
    del state
    module, network = _network(name)
    preprocess = _preprocess_of(network, name)
    with torch.inference_mode():
        features = _features(network, get_preprocess(preprocess)(_test_image()), name)
    widths = {feature: values.shape[1] for feature, values in features.items()}
    info = ExtractorInfo(
        id=name,
        target="genmetrics.extractors.python_model:PythonModel",
        summary=f"{type(network).__name__} of your own",
        features=widths,
        preprocess=preprocess,
        pool=next((feature for feature in widths if feature != _LOGITS), _LOGITS),
        logits=_LOGITS if _LOGITS in widths else None,
        licence="its own",
    )
    return _Made(info, _digest(network, module, get_preprocess(preprocess)), name, network)


class PythonModel(ExtractorByName):
    """What a function or class gives that is called without arguments, or an ``nn.Module`` itself.

    It takes float32 images, preprocessed as its attribute ``preprocess`` says (a ``Preprocess`` or the id of one) or by
    Pillow's bicubic to 224 x 224 and ImageNet's normalisation, and returns (n, d) features, or several by name; ones
    named ``logits`` serve the Inception Score. It is known by its weights, its preprocessing, and the source files of
    the name and of the classes of its modules. Statistics of it are never kept: other code that those call is not
    known.
    """

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        if weights is not None:
            raise UsageError(f"extractor {self.name!r} takes care of its own weights; leave out '--weights {weights}'")
        made = _made(self.name)
        self.info = made.info
        self.network = made.take()
        self.weights = WeightsFile(Path(_target(self.name)[0]), made.sha256, official=None)

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the network on preprocessed inputs."""
        features = _features(self.network, inputs, self.name)
        return {name: features[name] for name in wanted}


def _target(name: str) -> tuple[str, str]:
    """The file or module, and what it is called there."""
    return split_code_name(name.removeprefix("python:"), f"extractor {name!r}")


def _network(name: str) -> tuple[ModuleType, nn.Module]:
    """Where the name is found, and the network that it stands for."""
    module_name, attribute = _target(name)
    module = import_code(module_name, f"extractor {name!r}", UsageError)
    found = getattr(module, attribute, None)
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
    return module, found.to("cpu", torch.float32).eval().requires_grad_(False)


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


def _digest(network: nn.Module, module: ModuleType, preprocess: Preprocess) -> str | None:
    """Of its weights, its preprocessing and its source files; None if one of them cannot be read."""
    sources = _source_digests(network, module)
    if sources is None:
        return None
    digest = hashlib.sha256(json.dumps([sources, preprocess.as_dict()], sort_keys=True).encode())
    tensors = {**dict(network.named_buffers()), **network.state_dict()}
    try:
        for key, value in sorted(tensors.items()):
            digest.update(f"{key}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
            if value.numel():
                digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except (AttributeError, RuntimeError, TypeError):  # a state that is no plain tensor
        return None
    return digest.hexdigest()


def _source_digests(network: nn.Module, module: ModuleType) -> list[str] | None:
    """Of the source files of the name and of the classes of the network's modules, but for torch's own."""
    names = {type(part).__module__ for part in network.modules()}
    # What such modules compute stands in themselves, and not in the file of their class.
    if any(name.startswith(("torch.jit", "torch.fx")) for name in names):
        return None
    used = [sys.modules.get(name) for name in names if name.partition(".")[0] != "torch"]
    digests = [None if part is None else code_digest(part) for part in (module, *used)]
    return None if None in digests else sorted({str(digest) for digest in digests})
