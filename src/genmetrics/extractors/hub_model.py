"""Any vision model of the transformers library as an extractor, by the name ``hf:…``."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from torch import Tensor

from genmetrics.errors import DependencyError, UsageError, WeightsError
from genmetrics.extractors.base import ExtractorByName
from genmetrics.extractors.hub_preprocess import hub_preprocess
from genmetrics.extractors.hub_snapshot import CONFIG, PROCESSOR, Snapshot, open_snapshot
from genmetrics.extractors.weights import WeightsFile
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import ExtractorInfo

__all__ = ["HubModel", "hub_model_info"]


def hub_model_info(name: str) -> ExtractorInfo:
    """What is known of ``hf:…`` from its settings, without its weights.

    Raises:
        UsageError: if the name means nothing, or the model has no features of images.
        WeightsError: if a file is missing or damaged, or the model's code is not the library's own.
        DependencyError: if the transformers library is not installed.
    """
    snapshot = open_snapshot(name)
    texts = [str(sorted(snapshot.read_json(filename).items())) for filename in (CONFIG, PROCESSOR)]
    return _info(snapshot, _has_pooler(snapshot), *texts)


@lru_cache(maxsize=32)
def _info(snapshot: Snapshot, has_pooler: bool, config: str, processor: str) -> ExtractorInfo:
    """Once for each content of the files, for a run asks often."""
    del config, processor
    preprocess = hub_preprocess(snapshot.read_json(PROCESSOR), snapshot.name)
    size = get_preprocess(preprocess).size
    assert size is not None
    model = _untrained(snapshot, has_pooler)
    with torch.device("meta"), torch.no_grad():
        try:
            feature, values = _features(model, torch.empty(1, 3, *size))
        except UsageError:
            raise
        except Exception as error:  # whatever a model makes of images of a size that it is not for
            raise UsageError(
                f"extractor {snapshot.name!r}: its model ({type(model).__name__}) does not take images of "
                f"{size[0]}x{size[1]}, as its preprocessor_config.json has them: {error}"
            ) from error
    return ExtractorInfo(
        id=snapshot.name,
        target="genmetrics.extractors.hub_model:HubModel",
        summary=f"{type(model).__name__} of the transformers library",
        features={feature: values.shape[1]},
        preprocess=preprocess,
        pool=feature,
        licence="its own",
    )


class HubModel(ExtractorByName):
    """A model of the transformers library: its configuration and safetensors, never code that comes with it.

    Its one feature is named for what it is: ``embedding``, the projected image embedding of a model that has one for
    texts too; else ``pooled``, the model's own ``pooler_output``; else ``cls``, its last hidden state at the class
    token; else ``mean``, the mean of its last hidden state over positions. None is normalised.
    """

    packages = ("transformers",)

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info = hub_model_info(self.name)
        self.weights = self.locate(weights)
        snapshot = open_snapshot(self.name)
        self.network = _trained(snapshot).to(torch.float32).eval().requires_grad_(False)
        self._check_steady(snapshot)

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        """The settings and weights that the id names, known by the content of all of them.

        Raises:
            UsageError: if a weight file is given beside them.
        """
        if weights is not None:
            raise UsageError(
                f"extractor {cls.name!r} has its weights in the folder or repository that it names; leave out "
                f"'--weights {weights}'"
            )
        snapshot = open_snapshot(cls.name)
        return WeightsFile(snapshot.weights[0], snapshot.sha256, official=None)

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the model on preprocessed inputs."""
        feature, values = _features(self.network, inputs)
        return {name: values for name in wanted if name == feature}

    def _check_steady(self, snapshot: Snapshot) -> None:
        """Refuse a model that draws, as one that hides patches does."""
        size = self.preprocess.size
        assert size is not None
        inputs = torch.linspace(-1, 1, 3 * size[0] * size[1]).reshape(1, 3, *size)
        first, second = (next(iter(self.run(inputs, [self.info.pool]).values())) for _ in range(2))
        if not torch.allclose(first, second, rtol=1e-3, atol=1e-5):
            raise UsageError(
                f"extractor {snapshot.name!r}: its model ({type(self.network).__name__}) gives other features each "
                "time, as one that hides patches at random does; no metric can rest on them"
            )


def _untrained(snapshot: Snapshot, has_pooler: bool) -> Any:
    """The model on the meta device; without the pooler that it might have, if that has no weights."""
    auto = _library()
    try:
        config = auto.AutoConfig.from_pretrained(snapshot.folder, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            model = auto.AutoModel.from_config(config, trust_remote_code=False)
            if not has_pooler and any(name.startswith("pooler.") for name, _ in model.named_parameters()):
                model = auto.AutoModel.from_config(config, trust_remote_code=False, add_pooling_layer=False)
        return model.eval()
    except Exception as error:
        raise _unusable(snapshot, error) from error


def _trained(snapshot: Snapshot) -> Any:
    auto = _library()
    settings = {"trust_remote_code": False, "local_files_only": True, "use_safetensors": True}
    # A pooler without weights would be drawn at random.
    if not _has_pooler(snapshot) and any(
        name.startswith("pooler.") for name, _ in _untrained(snapshot, has_pooler=True).named_parameters()
    ):
        settings["add_pooling_layer"] = False
    try:
        model, loading = auto.AutoModel.from_pretrained(snapshot.folder, output_loading_info=True, **settings)
    except Exception as error:
        raise _unusable(snapshot, error) from error
    missing = sorted([*loading["missing_keys"], *(str(key) for key in loading["mismatched_keys"])])
    if missing:
        raise WeightsError(
            f"extractor {snapshot.name!r}: its weights do not fit its config.json; {len(missing)} are missing, such as "
            f"{missing[0]}"
        )
    return model


def _has_pooler(snapshot: Snapshot) -> bool:
    try:
        for path in snapshot.weights:
            with safe_open(path, framework="pt") as file:
                if any("pooler." in name for name in file.keys()):  # noqa: SIM118  # no mapping
                    return True
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"extractor {snapshot.name!r}: its weights are damaged: {error}") from error
    return False


def _features(model: Any, inputs: Tensor) -> tuple[str, Tensor]:
    """What the feature is called, and its (n, d) values."""
    if callable(embed := getattr(model, "get_image_features", None)):
        found = embed(pixel_values=inputs)
        return "embedding", found if isinstance(found, Tensor) else found.pooler_output
    out = model(pixel_values=inputs)
    pooled = getattr(out, "pooler_output", None)
    if isinstance(pooled, Tensor):
        return "pooled", pooled.flatten(1)
    hidden = getattr(out, "last_hidden_state", None)
    if not isinstance(hidden, Tensor) or hidden.ndim not in (3, 4):
        raise UsageError(f"a {type(model).__name__} has no hidden state from which features of images could be taken")
    if hidden.ndim == 4:
        return "mean", hidden.mean(dim=(2, 3))
    if any(name.endswith("cls_token") for name, _ in model.named_parameters()):
        return "cls", hidden[:, 0]
    return "mean", hidden.mean(dim=1)


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise DependencyError(
            "extractors 'hf:…' need the transformers library; install it with \"pip install 'genmetrics[hf]'\""
        ) from error
    return transformers


def _unusable(snapshot: Snapshot, error: Exception) -> WeightsError:
    reason = str(error).strip().splitlines()
    return WeightsError(
        f"extractor {snapshot.name!r}: the transformers library cannot make a model of it: {type(error).__name__}: "
        f"{reason[0] if reason else ''} (code that comes with a model is never run)"
    )
