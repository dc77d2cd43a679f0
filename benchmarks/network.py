"""Inception-v3 to its pooled features: ours beside the peers' networks, the machine's limit and other ways to run it.

All run the same seeded random weights on the same inputs of 299 x 299, resized and normalised before the clock starts
(torch-fidelity's resize inside its network, which has nothing to do at that size, is taken out; torchmetrics runs
torch-fidelity's network). The limit is what 3 x 3 convolutions reach in the same run: 256 channels of 56 x 56 in
channels-last, float32 and bfloat16. The candidates are the ways that were weighed for the fast CPU backend: torch with
the batch norms folded into the convolutions and channels-last, ONNX Runtime, and OpenVINO, on which ours runs where it
is installed; ``--no-candidates`` leaves the first two out. Every row has the relative difference of the features from
pytorch-fid's.

About three minutes on two cores.

    python benchmarks/network.py [--batch 32] [--rounds 5] [--no-candidates]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from genmetrics.extractors.backends.choose import backend_name
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.inception_v3 import InceptionV3
from harness import compared, in_turn, save
from inputs import TESTS, pictures, write_inception

sys.path.insert(0, str(TESTS))
from support.peers import PEERS, import_peer

SIDE = 299
CPU = torch.device("cpu")
LIMITS = {"float32": "convolutions, float32", "bfloat16": "convolutions, bfloat16"}
RATE = "share_of_convolutions"
Run = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-candidates", action="store_true")
    arguments = parser.parse_args()
    images = torch.from_numpy(pictures(arguments.batch, SIDE, seed=3)).permute(0, 3, 1, 2).contiguous()
    inputs = (images.float() - 128) / 128
    with tempfile.TemporaryDirectory() as name, torch.no_grad():  # as the peers' tools do
        weights = write_inception(Path(name) / "inception.pth")
        backend = backend_name("auto", CPU, "exact")
        ours = {
            f"genmetrics {precision} ({backend})": own(weights, inputs, precision) for precision in ("exact", "bf16")
        }
        peers = {"pytorch-fid": pytorch_fid(weights, inputs), "torch-fidelity": torch_fidelity(weights, images)}
        candidates = {} if arguments.no_candidates else make_candidates(weights, inputs, Path(name))
        limits = {LIMITS["float32"]: convolutions(torch.float32), LIMITS["bfloat16"]: convolutions(torch.bfloat16)}
        cases: dict[str, Callable[[], object]] = {**ours, **peers, **candidates, **{k: v[0] for k, v in limits.items()}}
        timings = in_turn(cases, arguments.rounds)
    gflop = gflop_per_image()
    reached = {case: flop / timings[case].median / 1e9 for case, (_, flop) in limits.items()}
    expected = timings["pytorch-fid"].output.double()

    rows = []
    for case in [*ours, *candidates]:
        limit = LIMITS["bfloat16" if "bf16" in case else "float32"]
        speed = gflop * arguments.batch / timings[case].median
        more: dict[str, object] = {
            "precision": "bf16" if "bf16" in case else "exact",
            "gflop_per_second": round(speed, 1),
            RATE: round(speed / reached[limit], 3),
            "features_relative_difference": float(
                ((timings[case].output.double() - expected).norm() / expected.norm()).item()
            ),
        }
        if case in ours:
            more["targets"] = {"ratio": ">= 3.7"} if "bf16" in case else {"ratio": ">= 1.9", RATE: ">= 0.9"}
        for peer in peers if case in ours else ["pytorch-fid"]:
            what = f"Inception-v3 forward, {arguments.batch} inputs of {SIDE} x {SIDE}: {case} beside {peer}"
            rows.append(compared(what, timings, case, peer, work=arguments.batch, **more))
    apart = (timings["torch-fidelity"].output.double() - expected).norm() / expected.norm()
    save(
        "network",
        f"Inception-v3 to pool3, random weights, {torch.get_num_threads()} threads, inputs preprocessed beforehand; "
        f"peers: {PEERS['pytorch_fid']}, {PEERS['torch_fidelity']}",
        rows,
        gflop_per_image=round(gflop, 3),
        limits_gflop_per_second={case: round(value, 1) for case, value in reached.items()},
        limits={case: timings[case].as_dict() for case in limits},
        peers_relative_difference=float(apart),
    )


def own(weights: Path, inputs: Tensor, precision: str) -> Run:
    """As the engine runs it."""
    extractor = load_extractor("inception-v3.tf2015", weights)
    extractor.to(CPU, precision)  # type: ignore[arg-type]
    return lambda: extractor.run(inputs, ["2048"])["2048"]


def pytorch_fid(weights: Path, inputs: Tensor) -> Run:
    module = import_peer("pytorch_fid.inception")
    with mock.patch.object(module, "load_state_dict_from_url", return_value=torch.load(weights)):
        network = module.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    return lambda: network(inputs)[0].flatten(1)


def torch_fidelity(weights: Path, images: Tensor) -> Run:
    module = import_peer("torch_fidelity.feature_extractor_inceptionv3")
    network = module.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    )
    module.interpolate_bilinear_2d_like_tensorflow1x = lambda x, **_: x
    return lambda: network(images)[0]


def make_candidates(weights: Path, inputs: Tensor, folder: Path) -> dict[str, Run]:
    """Ways to run our module, each with all that it needs made beforehand."""
    folded = fold(network_of(weights)).to(memory_format=torch.channels_last)
    strided = inputs.contiguous(memory_format=torch.channels_last)
    reduced = fold(network_of(weights)).to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def in_bf16() -> Tensor:
        found: Tensor = reduced(strided.bfloat16(), ["2048"])["2048"]
        return found.float()

    found: dict[str, Run] = {
        "torch, folded, channels-last": lambda: folded(strided, ["2048"])["2048"],
        "torch, folded, channels-last, bf16": in_bf16,
    }
    alone = Pooled(network_of(weights))
    found["ONNX Runtime"] = onnx_runtime(alone, inputs, folder / "inception.onnx")
    return found


class Pooled(torch.nn.Module):
    """Our network with a tensor as its output, as exporters want it."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """The pooled features alone."""
        found: Tensor = self.network(inputs, ["2048"])["2048"]
        return found


def network_of(weights: Path) -> torch.nn.Module:
    network = InceptionV3()
    network.load_state_dict(torch.load(weights))
    return network.eval().requires_grad_(False)


def fold(network: torch.nn.Module) -> torch.nn.Module:
    """Batch norms into the convolutions before them."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for block in list(network.modules()):
        parts = dict(block.named_children())
        if parts.keys() >= {"conv", "bn"}:
            block.conv, block.bn = fuse_conv_bn_eval(parts["conv"], parts["bn"]), torch.nn.Identity()
    return network


def onnx_runtime(network: torch.nn.Module, inputs: Tensor, path: Path) -> Run:
    import onnxruntime

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (inputs[:1],),
            str(path),
            dynamo=False,
            opset_version=17,
            dynamic_axes={"x": [0]},
            input_names=["x"],
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    values = inputs.numpy()
    return lambda: torch.from_numpy(session.run(None, {"x": values})[0])


def convolutions(dtype: torch.dtype, count: int = 16, repeats: int = 4) -> tuple[Run, float]:
    """A run of 3 x 3 convolutions, and how many floating-point operations are in it."""
    channels, side = 256, 56
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    layer = layer.to(dtype, memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    x = torch.randn(count, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)

    def run() -> Tensor:
        for _ in range(repeats):
            y = layer(x)
        return y

    return run, 2.0 * 9 * channels**2 * side**2 * count * repeats


def gflop_per_image() -> float:
    """Twice the multiplications of the network, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network, inputs = InceptionV3().eval(), torch.empty(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(inputs, ["2048"])
    return counter.get_total_flops() / 1e9


if __name__ == "__main__":
    main()
