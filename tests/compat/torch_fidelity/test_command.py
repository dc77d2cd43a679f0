"""The command ``fidelity`` beside torch-fidelity's own: every option, the printed lines, and the older forms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import genmetrics.compat.torch_fidelity as ours
from genmetrics.compat.torch_fidelity.fidelity import main
from genmetrics.compat.torch_fidelity.settings import Settings
from support.fidelity_pair import BLOCKS, NOISE, SQUARES, WAY, Generator, registered
from support.peers import import_peer

theirs = import_peer("torch_fidelity")
their_command = import_peer("torch_fidelity.fidelity")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered(theirs, ours):
        yield


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[str, str]:
    return str(image_folder(30, 24, 32, seed=31, warmth=3.0)), str(image_folder(24, 40, 28, seed=32))


@pytest.fixture
def calls(monkeypatch) -> list[dict]:
    """What the command calls ``calculate_metrics`` with, which then computes nothing."""
    found: list[dict] = []

    def calculate_metrics(**settings):
        found.append(settings)
        return {"inception_score_mean": 1.5}

    monkeypatch.setattr("genmetrics.compat.torch_fidelity.fidelity.calculate_metrics", calculate_metrics)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    return found


def run_theirs(monkeypatch, capsys, arguments: list[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["fidelity", *arguments])
    their_command.main()
    return capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_prints_what_theirs_prints(folders, as_json, monkeypatch, capsys):
    arguments = ["--cpu", "--isc", "-f", "--kid", "-r", "--input1", folders[0], "--input2", folders[1]]
    arguments += ["--feature-extractor", BLOCKS, "--kid-subset-size", "20", "--save-cpu-ram", "--silent"]
    arguments += ["--json"] if as_json else []
    expected = run_theirs(monkeypatch, capsys, arguments)
    main(arguments)
    out, err = capsys.readouterr()
    print(out, expected)
    assert err == ""
    if as_json:
        assert list(json.loads(out)) == list(json.loads(expected))
        assert json.loads(out) == pytest.approx(json.loads(expected), rel=1e-3)
        assert out.splitlines()[:2] == ["{", '    "inception_score_mean": ' + out.splitlines()[1].split(": ")[1]]
        return
    lines, expected_lines = out.splitlines(), expected.splitlines()
    assert [line.split(": ")[0] for line in lines] == [line.split(": ")[0] for line in expected_lines]
    for line, other in zip(lines, expected_lines, strict=True):
        assert float(line.split(": ")[1]) == pytest.approx(float(other.split(": ")[1]), rel=1e-3)
        assert len(line.split(": ")[1].replace(".", "").replace("-", "").lstrip("0")) <= 7


VALUES: dict[str, tuple[list[str], dict[str, object]]] = {
    "-b": (["-b", "5"], {"batch_size": 5}),
    "--batch-size": (["--batch-size", "5"], {"batch_size": 5}),
    "-g": (["-g", "1"], {"cuda": True}),
    "--gpu": (["--gpu", "0"], {"cuda": True}),
    "--gpu ''": (["--gpu", ""], {"cuda": False}),
    "-c": (["-c"], {"cuda": False}),
    "--cpu": (["--cpu"], {"cuda": False}),
    "neither": ([], {"cuda": True}),
    "-i": (["-i"], {"isc": True}),
    "-f": (["-f"], {"fid": True}),
    "--fid": (["--fid"], {"fid": True}),
    "-k": (["-k"], {"kid": True}),
    "--kid": (["--kid"], {"kid": True}),
    "-r": (["-r"], {"prc": True}),
    "--prc": (["--prc"], {"prc": True}),
    "-p": (["-p"], {"ppl": True}),
    "--ppl": (["--ppl"], {"ppl": True}),
    "-m": (["-m"], {"mind": True}),
    "--mind": (["--mind"], {"mind": True}),
    "--feature-extractor": (["--feature-extractor", "vgg16"], {"feature_extractor": "vgg16"}),
    "--feature-extractor-internal-dtype": (
        ["--feature-extractor-internal-dtype", "float64"],
        {"feature_extractor_internal_dtype": "float64"},
    ),
    "--feature-extractor-compile": (["--feature-extractor-compile"], {"feature_extractor_compile": True}),
    "--kid-kernel": (["--kid-kernel", "rbf"], {"kid_kernel": "rbf"}),
    "--kid-degree": (["--kid-degree", "2"], {"kid_kernel_poly_degree": 2}),
    "--kid-gamma": (["--kid-gamma", "0.5"], {"kid_kernel_poly_gamma": 0.5}),
    "--kid-coef0": (["--kid-coef0", "2"], {"kid_kernel_poly_coef0": 2.0}),
    "--ppl-reduction": (["--ppl-reduction", "none"], {"ppl_reduction": "none"}),
    "--ppl-sample-similarity": (["--ppl-sample-similarity", SQUARES], {"ppl_sample_similarity": SQUARES}),
    "--ppl-sample-similarity-resize None": (
        ["--ppl-sample-similarity-resize", "None"],
        {"ppl_sample_similarity_resize": None},
    ),
    "--ppl-sample-similarity-dtype None": (
        ["--ppl-sample-similarity-dtype", "None"],
        {"ppl_sample_similarity_dtype": None},
    ),
    "--ppl-sample-similarity-dtype": (
        ["--ppl-sample-similarity-dtype", "float32"],
        {"ppl_sample_similarity_dtype": "float32"},
    ),
    "--ppl-z-interp-mode": (["--ppl-z-interp-mode", WAY], {"ppl_z_interp_mode": WAY}),
    "--input1-model-z-type": (["--input1-model-z-type", NOISE], {"input1_model_z_type": NOISE}),
    "--input2-model-z-type": (["--input2-model-z-type", "unit"], {"input2_model_z_type": "unit"}),
    "--no-samples-shuffle": (["--no-samples-shuffle"], {"samples_shuffle": False}),
    "--samples-alphanumeric": (["--samples-alphanumeric"], {"samples_shuffle": False}),
    "--samples-find-deep": (["--samples-find-deep"], {"samples_find_deep": True}),
    "--no-datasets-download": (["--no-datasets-download"], {"datasets_download": False}),
    "--datasets-downloaded": (["--datasets-downloaded"], {"datasets_download": False}),
    "--no-cache": (["--no-cache"], {"cache": False}),
    "--save-cpu-ram": (["--save-cpu-ram"], {"save_cpu_ram": True}),
    "--silent": (["--silent"], {"verbose": False}),
    **{
        f"--{name.replace('_', '-')}": ([f"--{name.replace('_', '-')}", str(value)], {name: value})
        for name, value in {
            "feature_layer_isc": "a",
            "feature_layer_fid": "b",
            "feature_layer_kid": "c",
            "feature_layer_prc": "d",
            "feature_layer_mind": "e",
            "feature_extractor_weights_path": "w.pth",
            "isc_splits": 3,
            "kid_subsets": 4,
            "kid_subset_size": 5,
            "kid_kernel_poly_degree": 6,
            "kid_kernel_poly_gamma": 0.25,
            "kid_kernel_poly_coef0": 0.75,
            "kid_kernel_rbf_sigma": 2.5,
            "ppl_epsilon": 0.125,
            "ppl_sample_similarity_resize": 32,
            "ppl_discard_percentile_lower": 2,
            "ppl_discard_percentile_higher": 98,
            "prc_neighborhood": 5,
            "prc_batch_size": 100,
            "mind_num_projections": 10,
            "samples_find_ext": "bmp",
            "samples_ext_lossy": "webp",
            "samples_resize_and_crop": 16,
            "datasets_root": "data",
            "cache_root": "cache",
            "rng_seed": 7,
            "fid_statistics_file": "ref.npz",
            **{
                f"input{side}_{name}": value
                for side in (1, 2)
                for name, value in {
                    "cache_name": "n",
                    "model_z_size": 8,
                    "model_num_classes": 3,
                    "model_num_samples": 9,
                }.items()
            },
        }.items()
    },
}


@pytest.mark.parametrize(("arguments", "expected"), VALUES.values(), ids=VALUES)
def test_option(arguments, expected, calls):
    main(["--isc", "--input1", "x", *arguments])
    (given,) = calls
    defaults = Settings(input1="x", isc=True).as_dict()
    assert given == {**defaults, **expected}


def test_every_option_of_theirs_is_tested(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fidelity", "--help"])
    with pytest.raises(SystemExit):
        their_command.main()
    text = capsys.readouterr().out
    options = {word.strip(",[]()") for word in text.split() if word.startswith(("--", "[--"))}
    # Lines are folded behind hyphens; what is left of an option there is in full elsewhere.
    named = {option.strip(".") for option in options if option.strip("-.") and not option.endswith("-")}
    tested = {word for arguments, _ in VALUES.values() for word in arguments if word.startswith("-")}
    also = {"--input1", "--input2", "--isc", "--json", "--help"}
    assert len(named) > 50
    assert named - tested - also == set()


@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        (["--gpu", "0", "--isc", "one"], ("one", None)),
        (["--gpu", "0", "--isc", "--fid", "one", "two"], ("one", "two")),
        (["one", "--isc", "two", "--gpu", "0"], ("one", "two")),
        (["--isc", "--input2", "two", "one"], ("one", "two")),
    ],
)
def test_inputs_without_an_option_in_front(arguments, inputs, calls):
    main(arguments)
    assert (calls[0]["input1"], calls[0]["input2"]) == inputs


def test_the_gpu_is_chosen_by_the_environment(calls):
    main(["--isc", "--input1", "x", "--gpu", "3"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--input1", "x"], 1, "no metric was asked for"),
        (["--isc"], 1, "no input was given"),
        (["--isc", "--input1", "x", "--isc-split", "2", "--kid-degre", "3", "--no-such"], 2, "--no-such"),
        (["--isc", "a", "b", "c"], 2, "at most two inputs can be given, and there are 3: a b c"),
        (["--isc", "--input1", "a", "b", "--input2", "c"], 2, "input1 was given twice: --input1 a and b"),
        (["--isc", "--input1", "x", "--kid-kernel", "rfb"], 2, "invalid choice: 'rfb'"),
        (["--isc", "--input1", "x", "--gpu", "0", "--cpu"], 2, "not allowed with argument"),
        (["--isc", "--input1", "no-such-folder", "--cpu"], 2, "neither registered nor a path that exists"),
        (["--fid", "--input1", ".", "--cpu"], 2, "'fid' compares with a second input"),
    ],
)
def test_mistakes(arguments, code, message, capsys):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    out, err = capsys.readouterr()
    assert (exited.value.code, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_lengths_of_single_steps_can_be_printed(tmp_path, capsys):
    path = tmp_path / "generator.pth"
    torch.jit.save(torch.jit.trace(Generator(6, seed=1), torch.zeros(2, 6)), path)
    arguments = ["--cpu", "--ppl", "--silent", "--input1", str(path), "--input1-model-z-size", "6"]
    arguments += ["--input1-model-num-samples", "10", "--ppl-epsilon", "0.1", "--ppl-reduction", "none"]
    arguments += ["--ppl-sample-similarity", SQUARES]
    main(arguments)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("perceptual_path_length_raw: ") and len(line.split()) >= 9
    main([*arguments, "--json"])
    assert len(json.loads(capsys.readouterr().out)["perceptual_path_length_raw"]) >= 8


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--gpu 0 --isc --input1 cifar10-train", {"isc": True, "input1": "cifar10-train"}),
        ("--gpu 0 --isc --input1 ~/images/", {"isc": True, "input1": "~/images/"}),
        (
            "--gpu 0 --isc --input1 ~/generator.pth --input1-model-z-size 128 --input1-model-num-samples 50000",
            {"isc": True, "input1": "~/generator.pth", "input1_model_z_size": 128, "input1_model_num_samples": 50000},
        ),
        (
            "--gpu 0 --fid --input1 ~/images/ --input2 cifar10-train",
            {"fid": True, "input1": "~/images/", "input2": "cifar10-train"},
        ),
        (
            "--gpu 0 --isc --fid --kid --ppl --mind --input1 ~/generator.onnx --input1-model-z-type normal "
            "--input1-model-z-size 128 --input1-model-num-samples 50000 --input2 cifar10-train",
            {
                **dict.fromkeys(("isc", "fid", "kid", "ppl", "mind"), True),
                "input1": "~/generator.onnx",
                "input2": "cifar10-train",
                "input1_model_z_size": 128,
                "input1_model_num_samples": 50000,
            },
        ),
    ],
)
def test_commands_of_its_documents(line, expected, calls):
    main(line.split())
    assert calls == [{**Settings().as_dict(), **expected}]


def run(*command: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    start = ["-m"] if processes == 1 else ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *start, *command], env=environment, capture_output=True, text=True, check=False
    )


def test_as_a_module_alone_and_under_torchrun(folders):
    package = "genmetrics.compat.torch_fidelity"
    command = ["--cpu", "--isc", "--fid", *folders, "--silent", "--feature-extractor", "efficientnet-lite0.in1k"]
    alone = run(package, *command)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert [line.split(": ")[0] for line in alone.stdout.splitlines()] == [
        "inception_score_mean",
        "inception_score_std",
        "frechet_inception_distance",
    ]
    shared = run(f"{package}.fidelity", *command, processes=2)
    assert (shared.returncode, shared.stdout) == (0, alone.stdout), shared.stderr
