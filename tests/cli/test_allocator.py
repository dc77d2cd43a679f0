"""glibc's thresholds: raised by the commands that run networks, and by nothing else."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys

import pytest

from genmetrics.cli import allocator

# A freed block of 100 MiB: glibc gives it back unless it was told to keep it.
FREED = """
import ctypes, mmap
from genmetrics.cli.allocator import keep_freed_memory
if {raised}:
    print(keep_freed_memory("torch", "cpu"))
else:
    print(None)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
block = libc.malloc(100 << 20)
ctypes.memset(block, 1, 100 << 20)
libc.free(block)
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * mmap.PAGESIZE >> 20)
"""


@pytest.fixture
def asked(monkeypatch):
    """What is asked of glibc, which is not asked."""
    calls = []

    class Library:
        def __init__(self, name):
            assert name is None

        def mallopt(self, parameter, value):
            calls.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36", raising=False)
    for name in (*allocator.VARIABLES, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_it_raises_the_three_thresholds(asked):
    assert allocator.keep_freed_memory("torch", "cpu")
    assert sorted(parameter for parameter, _ in asked) == [-3, -2, -1]
    assert all(2**25 <= value < 2**31 for _, value in asked)  # mallopt takes an int


@pytest.mark.parametrize("variable", allocator.VARIABLES)
def test_what_the_environment_chose_stays(asked, monkeypatch, variable):
    monkeypatch.setenv(variable, "1000000")
    assert not allocator.keep_freed_memory("torch", "cpu")
    assert not asked


@pytest.mark.parametrize(("tunables", "done"), [("glibc.malloc.top_pad=1", False), ("glibc.rtld.nns=4", True)])
def test_tunables_of_malloc_stay_too(asked, monkeypatch, tunables, done):
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert allocator.keep_freed_memory("torch", "cpu") == done


def _no_confstr(name):
    raise ValueError("unrecognized configuration name")


@pytest.mark.parametrize("confstr", [_no_confstr, lambda name: None, None])
def test_other_libraries_are_not_asked(asked, monkeypatch, confstr):
    if confstr is None:
        monkeypatch.delattr(os, "confstr")
    else:
        monkeypatch.setattr(os, "confstr", confstr)
    assert not allocator.keep_freed_memory("torch", "cpu")
    assert not asked


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and needs glibc: run it on Linux")
def test_memory_that_was_freed_stays_in_the_process():
    if not allocator._on_glibc():
        pytest.skip("needs glibc: run it on a Linux that has it")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def after(raised, **variables):
        ended = subprocess.run(
            [sys.executable, "-c", FREED.format(raised=raised)],
            env={**environment, **variables},
            check=True,
            capture_output=True,
            text=True,
        )
        done, resident = ended.stdout.split()
        return done, int(resident)

    done, resident = after(raised=True)
    assert done == "True" and resident > 100
    assert after(raised=False)[1] < 60
    # What the user asked for is what happens: a low threshold gives the block back.
    done, resident = after(raised=True, MALLOC_MMAP_THRESHOLD_="1000000")
    assert done == "False" and resident < 60


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        (["--help"], []),
        (["list", "metrics"], []),
        (["eval", "no-such-folder"], [("auto", "auto")]),
        (["eval", "no-such-folder", "--backend", "torch", "--device", "cpu"], [("torch", "cpu")]),
        (["stats", "build", "no", "-o", "x.npz", "--device", "cpu"], [("auto", "cpu")]),
    ],
)
def test_the_commands_that_run_networks_ask_for_it(genmetrics, monkeypatch, arguments, choices):
    asked = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda *choice: asked.append(choice))
    genmetrics(*arguments)
    assert asked == choices


@pytest.mark.parametrize(
    ("backend", "installed", "done"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("openvino", True, False),
        ("torch", True, True),
        ("reference", True, True),
    ],
)
def test_it_is_for_torch_alone(asked, monkeypatch, backend, installed, done):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    for device in ("auto", "cpu"):
        asked.clear()
        assert allocator.keep_freed_memory(backend, device) == done
    assert bool(asked) == done


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_it_is_not_for_gpus(asked, monkeypatch, device, backend):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not allocator.keep_freed_memory(backend, device)
    assert not asked


def test_it_is_asked_for_before_torch_is_there():
    """Torch's own memory is then kept as well; a call of the library asks for nothing."""
    code = (
        "import sys\n"
        "from genmetrics.cli import allocator\n"
        "seen = []\n"
        "allocator.keep_freed_memory = lambda backend, device: seen.append('torch' in sys.modules)\n"
        "sys.argv = ['genmetrics', 'eval', 'no-such-folder']\n"
        "from genmetrics.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert seen == [False], seen\n"
        "import genmetrics\n"
        "try:\n    genmetrics.evaluate('no-such-folder')\nexcept genmetrics.GenmetricsError:\n    pass\n"
        "assert seen == [False], seen\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
