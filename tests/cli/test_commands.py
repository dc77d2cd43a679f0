"""The other commands, and how fast the command line answers."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

GRAPH = Path(__file__).parents[1] / "goldens" / "tensorflow" / "classify_image_graph_def.pb.xz"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["eval", "--help"],
        ["compare", "--help"],
        ["--version"],
        ["list", "metrics"],
        ["list", "sources", "--json"],
        ["list", "datasets"],
    ],
)
def test_help_and_list_do_not_import_torch(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['genmetrics', *{arguments!r}]\n"
        "from genmetrics.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_check_of_imports_would_notice_torch():
    code = "import sys, genmetrics; genmetrics.evaluate; assert 'torch' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    assert ended.returncode != 0


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("metrics", {"fid", "kid", "isc", "fid_64", "fid_pytorch", "fid_pytorch_768"}),
        ("extractors", {"inception-v3.tf2015", "efficientnet-lite0.in1k"}),
        ("sources", {"folder", "zip", "tar", "npz", "npy"}),
        ("datasets", {"cifar10", "cifar100", "stl10", "svhn", "celeba", "imagenet"}),
        ("protocols", {"fid", "kid", "isc"}),
    ],
)
def test_list(genmetrics, kind, known):
    entries = json.loads(genmetrics("list", kind, "--json").out)
    assert known <= {entry["id"] for entry in entries}
    table = genmetrics("list", kind)
    assert table.code == 0
    assert all(f"{name} " in table.out for name in known)


def test_list_of_something_unknown(genmetrics):
    ended = genmetrics("list", "metrcs")
    assert ended.code == 2
    assert "metrics" in ended.err


def test_unknown_command_is_answered_with_the_nearest(genmetrics):
    ended = genmetrics("evl", "x")
    assert ended.code == 2
    assert "eval" in ended.err


def test_weights_status(genmetrics, monkeypatch, tmp_path):
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
    by_id = {entry["id"]: entry for entry in json.loads(genmetrics("weights", "status", "--json").out)}
    assert by_id["efficientnet-lite0.in1k"]["official"] is True
    assert by_id["inception-v3.tf2015"]["path"] is None
    (tmp_path / "pt_inception-2015-12-05-6726825d.pth").write_bytes(b"half a download")
    shown = genmetrics("weights", "status")
    assert shown.code == 0
    assert "has the published name of the weights" in shown.out
    assert str(tmp_path) in shown.out.splitlines()[-1]


def test_the_folder_of_weights_must_be_a_folder(genmetrics, two_sets, monkeypatch, inception_weights):
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(inception_weights))
    ended = genmetrics("eval", two_sets[0])
    assert ended.code == 2
    assert "is a file; expected its folder" in ended.err


def test_weights_fetch_without_a_network(genmetrics):
    ended = genmetrics("weights", "fetch")
    assert ended.code == 2
    assert "has no weights here" in ended.err


def test_weights_fetch_of_what_is_here(genmetrics):
    ended = genmetrics("weights", "fetch", "efficientnet-lite0.in1k")
    assert ended.code == 0
    assert "(official)" in ended.out


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_convert_makes_a_file_that_eval_takes(genmetrics, two_sets, tmp_path, suffix):
    graph = tmp_path / "classify_image_graph_def.pb"
    graph.write_bytes(lzma.decompress(GRAPH.read_bytes()))
    target = tmp_path / f"converted{suffix}"
    converted = genmetrics("weights", "convert", graph, "-o", target)
    assert converted.code == 0, converted.err
    assert f"{target}: 566 tensors" in converted.out
    if suffix == ".safetensors":
        assert len(load_file(target)) == 566
    gen, ref = two_sets
    ended = genmetrics("eval", gen, "--ref", ref, "-m", "fid_64", "--weights", target, "--json", "--quiet")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["metrics"]["fid_64"]["value"] > 0


def test_weights_convert_refuses(genmetrics, tmp_path):
    ended = genmetrics("weights", "convert", tmp_path / "no.pb", "-o", tmp_path / "x.safetensors")
    assert ended.code == 2
    assert "no.pb" in ended.err
    ended = genmetrics("weights", "convert", tmp_path / "no.pb", "-o", tmp_path / "x.npz")
    assert ended.code == 2
    assert "expected a name ending in .safetensors or .pth" in ended.err


def test_a_graph_given_as_weights_is_answered_with_convert(genmetrics, two_sets, tmp_path):
    graph = tmp_path / "classify_image_graph_def.pb"
    graph.write_bytes(lzma.decompress(GRAPH.read_bytes()))
    ended = genmetrics("eval", two_sets[0], "--weights", graph)
    assert ended.code == 2
    assert f"genmetrics weights convert {graph}" in ended.err
