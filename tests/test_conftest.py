"""That the test suite's own ground rules hold."""

from __future__ import annotations

import importlib
import pkgutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import jaxtyping
import pytest
import torch

import genmetrics
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.linalg import centred_row_factor, nuclear_norm_of_product
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import Shard


class TestShapesAreEnforced:
    def test_right_shapes_pass(self):
        rows = torch.zeros(3, 2, dtype=torch.float64)
        assert centred_row_factor(rows).shape == (3, 2)

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            (centred_row_factor, (torch.zeros(3, dtype=torch.float64),)),
            (centred_row_factor, (torch.zeros(3, 2, dtype=torch.float32),)),
            (get_preprocess("tf1-bilinear-299"), (torch.zeros(1, 4, 8, 8, dtype=torch.uint8),)),
            (get_preprocess("tf1-bilinear-299"), (torch.zeros(1, 3, 8, 8),)),
            (
                nuclear_norm_of_product,
                (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)),
            ),
            (FeatureBank(2).update, (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int32))),
        ],
        ids=["dimensions", "dtype", "channels", "float-images", "two-widths", "indices"],
    )
    def test_wrong_shapes_raise(self, function, arguments):
        with pytest.raises(jaxtyping.TypeCheckError):
            function(*arguments)

    def test_plain_types_too(self):
        with pytest.raises(jaxtyping.TypeCheckError):
            frechet_distance(Moments(2), "statistics")
        with pytest.raises(jaxtyping.TypeCheckError):
            Shard("0", 1)

    def test_a_wrong_result_raises(self, monkeypatch):
        moments = Moments(2)
        moments.update(torch.rand(2, 2), torch.arange(2))
        monkeypatch.setattr(moments, "_kept_rows", lambda: torch.zeros(2, 2, 2))
        with pytest.raises(jaxtyping.TypeCheckError):
            moments.mean()

    def test_in_every_module(self):
        loaders = {}
        for module in pkgutil.walk_packages(genmetrics.__path__, "genmetrics."):
            if not module.name.endswith("__main__"):
                loaders[module.name] = type(importlib.import_module(module.name).__spec__.loader)
        assert len(loaders) > 30
        assert {loader.__module__.partition(".")[0] for loader in loaders.values()} == {"jaxtyping"}


class TestSurroundings:
    def test_weights_of_the_person_are_not_seen(self, tmp_path_factory):
        from genmetrics.extractors.weights import search_folders

        base = tmp_path_factory.getbasetemp()
        assert all(folder.is_relative_to(base) for folder in search_folders())

    @pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80)])
    def test_no_internet(self, address):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family) as sock, pytest.raises(ConnectionRefusedError, match="no internet in tests"):
            sock.connect(address)
        with pytest.raises(socket.gaierror, match="no internet in tests"):
            socket.getaddrinfo("example.org", 80)

    def test_no_internet_by_proxy_or_process(self):
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen("https://example.org", timeout=10)
        code = "import urllib.request; urllib.request.urlopen('https://example.org', timeout=10)"
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert process.returncode == 1 and "refused" in process.stderr

    def test_this_machine_can_be_reached(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(("localhost", server.getsockname()[1])).close()


class TestSelection:
    """A skipped test says what would run it."""

    ALL = "import pytest, torch\ntorch.cuda.is_available = lambda: False\n" + "".join(
        f"@pytest.mark.{marker}\ndef test_{marker}(): pass\n" for marker in ("slow", "network", "gpu")
    )

    def test_skipped_unless_asked_for(self, tmp_path):
        said = run_pytest(tmp_path, self.ALL)
        assert "3 skipped" in said
        assert all(f"make test-{marker}" in said for marker in ("slow", "network", "gpu"))

    def test_run_when_asked_for(self, tmp_path):
        assert "2 passed" in run_pytest(tmp_path, self.ALL, "--run-slow", "--run-network", "-m", "not gpu")

    def test_gpu_without_one(self, tmp_path):
        said = run_pytest(tmp_path, self.ALL, "--run-gpu", "-m", "gpu")
        assert "1 skipped" in said and "torch finds none" in said


def run_pytest(folder: Path, test: str, *options: str) -> str:
    """What pytest says of one test file under our conftest and settings."""
    root = Path(__file__).parents[1]
    path = folder / "test_inner.py"
    path.write_text(test)
    (folder / "conftest.py").write_text((root / "tests" / "conftest.py").read_text())
    settings = ["-c", str(root / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, str(path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return process.stdout + process.stderr
