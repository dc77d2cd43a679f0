"""Weight files: where they are found, what is refused, and how they are fetched."""

from __future__ import annotations

import hashlib
import http.server
import os
import pickle
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from genmetrics.errors import MissingWeightsError, OutputError, WeightsError
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.builtin import PUBLISHED
from genmetrics.extractors.weights import (
    PublishedWeights,
    WeightsFile,
    fetch_weights,
    file_sha256,
    find_weights,
    fresh_module,
    load_state_dict,
    search_folders,
)
from support.ranks import free_port

CONTENT, OTHER = b"the published bytes", b"some other bytes"
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (CONTENT, OTHER))
NAMES = ("tiny.pth", "weights-tiny.pth")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that GENMETRICS_WEIGHTS names."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("GENMETRICS_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where torch's hub, and with it the other tools, keep checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    folder = tmp_path / "torch_home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def published(base: str = "http://127.0.0.1:9", sha256: str = SHA256) -> PublishedWeights:
    return PublishedWeights("tiny.v1", {name: f"{base}/{name}" for name in NAMES}, sha256)


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = os.urandom(3_000_001)
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


class TestSearch:
    def test_own_folder_comes_first(self, own: Path, hub: Path) -> None:
        assert search_folders() == [own, hub]

    @pytest.mark.parametrize("value", [None, ""])
    def test_without_own_folder(self, hub: Path, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        monkeypatch.delenv("GENMETRICS_WEIGHTS", raising=False)
        if value is not None:
            monkeypatch.setenv("GENMETRICS_WEIGHTS", value)
        assert search_folders() == [hub]

    def test_home_is_expanded(self, hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GENMETRICS_WEIGHTS", "~/weights")
        assert search_folders()[0] == tmp_path / "weights"

    def test_file_in_place_of_a_folder(self, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "tiny.pth"
        path.write_bytes(CONTENT)
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(path))
        for look in (find_weights, fetch_weights):
            with pytest.raises(WeightsError) as caught:
                look(published())
            assert str(caught.value) == (
                f"GENMETRICS_WEIGHTS='{path}' is a file; expected its folder (a file is given with --weights PATH)"
            )

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("where", ["own", "hub"])
    def test_either_name_in_either_folder(self, own: Path, hub: Path, where: str, name: str) -> None:
        path = {"own": own, "hub": hub}[where] / name
        path.write_bytes(CONTENT)
        assert find_weights(published()) == WeightsFile(path, SHA256, official=True)

    def test_own_folder_wins(self, own: Path, hub: Path) -> None:
        for folder in (own, hub):
            (folder / NAMES[1]).write_bytes(CONTENT)
        found = find_weights(published())
        assert found is not None and found.path == own / NAMES[1]

    def test_package_comes_last(self, own: Path, hub: Path, tmp_path: Path) -> None:
        packaged = tmp_path / "packaged.pth"
        packaged.write_bytes(CONTENT)
        wanted = replace(published(), packaged=lambda: packaged)
        assert find_weights(wanted) == WeightsFile(packaged, SHA256, official=True)
        (hub / NAMES[0]).write_bytes(CONTENT)
        found = find_weights(wanted)
        assert found is not None and found.path == hub / NAMES[0]

    def test_nothing_found(self, own: Path, hub: Path) -> None:
        (own / "another.pth").write_bytes(CONTENT)
        (own / NAMES[0]).mkdir()
        assert find_weights(published()) is None

    def test_other_content_under_a_published_name_is_refused(self, own: Path, hub: Path) -> None:
        path = own / NAMES[0]
        path.write_bytes(OTHER)
        (hub / NAMES[0]).write_bytes(CONTENT)
        with pytest.raises(WeightsError) as caught:
            find_weights(published())
        assert str(caught.value) == (
            f"'{path}' has the published name of the weights of 'tiny.v1' but other content (sha256 "
            f"{OTHER_SHA256[:12]}…, published {SHA256[:12]}…); it may be a broken download. Delete it, or use it "
            f"knowingly with '--weights {path}' or GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS=1"
        )
        assert path.read_bytes() == OTHER

    @pytest.mark.parametrize("value", ["0", "", "yes"])
    def test_only_one_allows_it(self, own: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        (own / NAMES[0]).write_bytes(OTHER)
        monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", value)
        with pytest.raises(WeightsError, match="has the published name"):
            find_weights(published())

    def test_allowed_content_is_marked_unofficial(self, own: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (own / NAMES[0]).write_bytes(OTHER)
        monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        assert find_weights(published()) == WeightsFile(own / NAMES[0], OTHER_SHA256, official=False)
        (own / NAMES[0]).write_bytes(CONTENT)
        found = find_weights(published())
        assert found is not None and found.official


class TestGiven:
    @pytest.mark.parametrize(("content", "official"), [(CONTENT, True), (OTHER, False)])
    def test_given_file_is_taken_whatever_it_is(
        self, own: Path, hub: Path, tmp_path: Path, content: bytes, official: bool
    ) -> None:
        (own / NAMES[0]).write_bytes(CONTENT)
        path = tmp_path / "mine.pth"
        path.write_bytes(content)
        expected = WeightsFile(path, hashlib.sha256(content).hexdigest(), official)
        assert find_weights(published(), path) == expected

    @pytest.mark.parametrize("what", ["nothing", "folder"])
    def test_missing_file(self, own: Path, hub: Path, tmp_path: Path, what: str) -> None:
        (own / NAMES[0]).write_bytes(CONTENT)
        path = tmp_path / "mine.pth"
        if what == "folder":
            path.mkdir()
        with pytest.raises(WeightsError) as caught:
            find_weights(published(), path)
        assert str(caught.value) == (
            f"weights '{path}' for extractor 'tiny.v1': no such file; expected tiny.pth or weights-tiny.pth "
            "(.pth or .safetensors)"
        )

    def test_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "mine.pth").write_bytes(CONTENT)
        found = find_weights(published(), Path("~/mine.pth"))
        assert found is not None and found.path == tmp_path / "mine.pth"


STATE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.tensor([1.0, -1.0])}
DAMAGED = (
    r"cannot be read as a torch or safetensors state dict \(it is damaged, or holds more than tensors, which is "
    r"never loaded\)"
)


class Bomb:
    """What unpickling must not run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


class TestLoad:
    @pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
    def test_every_form(self, tmp_path: Path, form: str) -> None:
        path = tmp_path / ("state.safetensors" if form == "safetensors" else "state.pth")
        if form == "safetensors":
            save_file(STATE, path)
        else:
            torch.save(STATE, path, _use_new_zipfile_serialization=form == "zip")
        loaded = load_state_dict(path, "tiny.v1")
        assert loaded.keys() == STATE.keys()
        for name, tensor in STATE.items():
            assert torch.equal(loaded[name], tensor)

    @pytest.mark.parametrize(
        "content",
        [b"", b"<!DOCTYPE html><title>404</title>", b"\x80\x02.", b"PK\x03\x04 cut short", b"\x80\x02]q\x01r", b"0."],
        ids=["empty", "html", "no value", "zip", "cut short", "pops from nothing"],
    )
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_damaged_file(self, tmp_path: Path, content: bytes, suffix: str) -> None:
        path = tmp_path / f"state{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=rf"^weights '.*state\{suffix}' for extractor 'tiny\.v1' {DAMAGED}$"):
            load_state_dict(path, "tiny.v1")

    @pytest.mark.parametrize("legacy", [False, True])
    def test_no_cut_gets_through(self, tmp_path: Path, legacy: bool) -> None:
        path = tmp_path / "state.pth"
        torch.save(STATE, path, _use_new_zipfile_serialization=not legacy)
        content = path.read_bytes()
        for length in range(0, len(content), 13):
            path.write_bytes(content[:length])
            with pytest.raises(WeightsError, match=DAMAGED):
                load_state_dict(path, "tiny.v1")

    @pytest.mark.parametrize("form", ["pickle", "legacy", "zip"])
    def test_code_in_a_pickle_is_refused_and_not_run(self, tmp_path: Path, form: str) -> None:
        """Negative control included: the same file runs its code where nobody guards it."""
        trace, path = tmp_path / "ran", tmp_path / "hostile.pth"
        hostile = {"fc.weight": STATE["fc.weight"], "bomb": Bomb(trace)}
        if form == "pickle":
            path.write_bytes(pickle.dumps({"bomb": Bomb(trace)}))
        else:
            torch.save(hostile, path, _use_new_zipfile_serialization=form == "zip")
        with pytest.raises(WeightsError, match=DAMAGED):
            load_state_dict(path, "tiny.v1")
        assert not trace.exists()
        if form == "pickle":
            pickle.loads(path.read_bytes())
        else:
            torch.load(path, weights_only=False)
        assert trace.exists()

    @pytest.mark.parametrize(
        ("value", "kind"), [([1, 2], "list"), ({"epoch": 3, "w": torch.zeros(1)}, "dict"), (torch.zeros(2), "Tensor")]
    )
    def test_something_other_than_a_state_dict(self, tmp_path: Path, value: object, kind: str) -> None:
        path = tmp_path / "state.pth"
        torch.save(value, path)
        with pytest.raises(WeightsError) as caught:
            load_state_dict(path, "tiny.v1")
        assert str(caught.value) == (
            f"weights '{path}' for extractor 'tiny.v1' hold a {kind}; expected a state dict (names to tensors)"
        )

    def test_tensorflow_graph_has_a_way(self, tmp_path: Path) -> None:
        path = tmp_path / "classify_image_graph_def.pb"
        path.write_bytes(b"\x0a\x3d\x0a\x08repeated")
        with pytest.raises(
            WeightsError,
            match=rf"{DAMAGED}; a TensorFlow graph is made usable by 'genmetrics weights convert .*graph_def\.pb'$",
        ):
            load_state_dict(path, "tiny.v1")


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.bn = nn.BatchNorm1d(2)


def tiny_state() -> dict[str, torch.Tensor]:
    values = torch.arange(4.0).reshape(2, 2)
    bn = {"bn.weight": values[0], "bn.bias": values[1], "bn.running_mean": values[0], "bn.running_var": values[1]}
    return {name: tensor.clone() for name, tensor in {**STATE, **bn}.items()}


class TestFit:
    def build(self, state: dict[str, torch.Tensor]) -> nn.Module:
        return fresh_module(Tiny, state, Path("given.pth"), "tiny.v1")

    def test_weights_arrive(self) -> None:
        network = self.build({**tiny_state(), "bn.num_batches_tracked": torch.tensor(7)})
        for name, tensor in tiny_state().items():
            assert torch.equal(network.state_dict()[name], tensor), name
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())

    def test_batch_counter_may_be_absent(self) -> None:
        assert self.build(tiny_state()).state_dict()["bn.num_batches_tracked"] == 0

    def test_other_dtypes_are_converted(self) -> None:
        halves = {name: tensor.to(torch.float64) for name, tensor in tiny_state().items()}
        network = self.build(halves)
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())

    def test_misfit_names_what_differs(self) -> None:
        state = tiny_state()
        del state["fc.bias"]
        state["fc.weight"] = torch.zeros(2, 4)
        state["head.bias"] = torch.zeros(1)
        with pytest.raises(
            WeightsError,
            match=r"^weights 'given\.pth' do not fit extractor 'tiny\.v1' \(3 differences: fc\.weight is \(2, 4\), "
            r"expected \(2, 3\); missing fc\.bias; unexpected head\.bias\)$",
        ):
            self.build(state)

    def test_long_lists_of_differences_are_cut(self) -> None:
        with pytest.raises(WeightsError, match=r"\(6 differences: missing bn\.bias; .*; …\)$"):
            self.build({})

    def test_weights_of_another_network(self, tmp_path: Path) -> None:
        path = tmp_path / "tiny.safetensors"
        save_file(tiny_state(), path)
        with pytest.raises(WeightsError, match=r"do not fit extractor 'efficientnet-lite0\.in1k'"):
            load_extractor("efficientnet-lite0.in1k", path)


def test_extractor_says_whose_weights_it_has(tmp_path: Path) -> None:
    official = load_extractor("efficientnet-lite0.in1k")
    assert official.weights.official
    assert official.weights_sha256 == PUBLISHED["efficientnet-lite0.in1k"].sha256
    # The same tensors in another container are other bytes.
    path = tmp_path / "lite0.safetensors"
    tensors = load_state_dict(official.weights.path, "efficientnet-lite0.in1k")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    given = load_extractor("efficientnet-lite0.in1k", path)
    assert not given.weights.official
    assert given.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    image = torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)
    assert torch.equal(given(image, ["1280"])["1280"], official(image, ["1280"])["1280"])


class Files(http.server.BaseHTTPRequestHandler):
    """Answers with what the server's ``files`` hold, else 404."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.server.tells_length:
            self.send_header("Content-Length", str(self.server.length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Files)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.tells_length = True
        self.length: int | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)


class TestFetch:
    def test_good_content(self, own: Path, hub: Path, server: Server) -> None:
        server.files = {f"/{NAMES[0]}": CONTENT}
        fetched = fetch_weights(published(server.base))
        assert fetched == WeightsFile(own / NAMES[0], SHA256, official=True)
        assert (own / NAMES[0]).read_bytes() == CONTENT
        assert [path.name for path in own.iterdir()] == [NAMES[0]], "no temporary file is left"
        assert find_weights(published()) == fetched

    def test_the_beginning_of_a_sha256(self, own: Path, hub: Path, server: Server) -> None:
        """As much as torchvision publishes of it, in the names of its files."""
        server.files = {f"/{NAMES[0]}": CONTENT}
        pinned = published(server.base, SHA256[:8])
        fetched = fetch_weights(pinned)
        assert fetched == WeightsFile(own / NAMES[0], SHA256, official=True), "the record has the whole of it"
        assert find_weights(pinned) == fetched
        (own / NAMES[0]).write_bytes(OTHER)
        with pytest.raises(WeightsError, match=rf"sha256 {OTHER_SHA256[:12]}…, published {SHA256[:8]}…"):
            find_weights(pinned)
        (own / NAMES[0]).unlink()
        server.files = dict.fromkeys((f"/{name}" for name in NAMES), OTHER)
        with pytest.raises(MissingWeightsError, match="gave other content"):
            fetch_weights(pinned)
        assert not list(own.iterdir())

    def test_goes_to_the_hub_without_own_folder(self, hub: Path, server: Server) -> None:
        hub.rmdir()
        server.files = {f"/{NAMES[0]}": CONTENT}
        assert fetch_weights(published(server.base)).path == hub / NAMES[0]
        assert (hub / NAMES[0]).read_bytes() == CONTENT

    def test_second_address_is_tried(self, own: Path, hub: Path, server: Server) -> None:
        server.files = {f"/{NAMES[1]}": CONTENT}
        assert fetch_weights(published(server.base)).path == own / NAMES[1]
        assert server.asked == [f"/{NAMES[0]}", f"/{NAMES[1]}"]

    @pytest.mark.parametrize("tells_length", [True, False])
    def test_progress(self, own: Path, hub: Path, server: Server, tells_length: bool) -> None:
        content = os.urandom(2_500_000)
        server.files, server.tells_length = {f"/{NAMES[0]}": content}, tells_length
        seen: list[tuple[int, int | None]] = []
        fetch_weights(
            published(server.base, hashlib.sha256(content).hexdigest()), lambda done, total: seen.append((done, total))
        )
        done = [record[0] for record in seen]
        assert done == sorted(done) and done[-1] == len(content)
        assert {record[1] for record in seen} == {len(content) if tells_length else None}

    def test_wrong_content_leaves_nothing_behind(self, own: Path, hub: Path, server: Server) -> None:
        server.files = {f"/{name}": OTHER for name in NAMES}
        with pytest.raises(MissingWeightsError) as caught:
            fetch_weights(published(server.base))
        assert (
            f"{server.base}/{NAMES[0]} gave other content ({len(OTHER)} bytes, sha256 {OTHER_SHA256[:12]}…) than the "
            f"published file (sha256 {SHA256[:12]}…)"
        ) in str(caught.value)
        assert list(own.iterdir()) == [] and list(hub.iterdir()) == []

    def test_wrong_content_does_not_touch_a_file_that_is_there(self, own: Path, hub: Path, server: Server) -> None:
        (own / NAMES[0]).write_bytes(CONTENT)
        server.files = {f"/{NAMES[0]}": OTHER}
        with pytest.raises(MissingWeightsError):
            fetch_weights(published(server.base))
        assert [path.read_bytes() for path in own.iterdir()] == [CONTENT]

    def test_connection_that_breaks_off(self, own: Path, hub: Path, server: Server) -> None:
        server.files, server.length = {f"/{name}": CONTENT[:7] for name in NAMES}, len(CONTENT)
        with pytest.raises(MissingWeightsError):
            fetch_weights(published(server.base))
        assert list(own.iterdir()) == []

    def test_interrupted_download_leaves_nothing_behind(self, own: Path, hub: Path, server: Server) -> None:
        server.files = {f"/{NAMES[0]}": CONTENT}

        def interrupt(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch_weights(published(server.base), interrupt)
        assert list(own.iterdir()) == []

    def test_nothing_found_on_the_server(self, own: Path, hub: Path, server: Server) -> None:
        with pytest.raises(MissingWeightsError, match="downloading failed: Not Found\n"):
            fetch_weights(published(server.base))

    def test_server_that_is_down_says_what_to_give(self, own: Path, hub: Path) -> None:
        base = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(MissingWeightsError) as caught:
            fetch_weights(published(base))
        first, second = str(caught.value).split("\n")
        assert first.startswith(
            f"extractor 'tiny.v1' has no weights here: looked for tiny.pth or weights-tiny.pth in '{own}' and "
            f"'{hub}'; downloading failed: "
        )
        assert "Connection refused" in first
        assert " ".join(second.split()) == (
            f"give the file: --weights PATH, or put it into '{own}' (published at {base}/tiny.pth)"
        )
        assert list(own.iterdir()) == []

    def test_server_that_speaks_something_else(self, own: Path, hub: Path) -> None:
        class Garbage(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(4096)
                self.request.sendall(b"220 mail ready\r\n\r\n")

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Garbage) as garbage:
            thread = threading.Thread(target=garbage.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                with pytest.raises(MissingWeightsError, match="downloading failed: 220 mail ready"):
                    fetch_weights(published(f"http://127.0.0.1:{garbage.server_address[1]}"))
            finally:
                garbage.shutdown()
                thread.join(timeout=10)

    def test_server_that_never_answers(self, own: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("genmetrics.download.TIMEOUT_SECONDS", 0.2)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            with pytest.raises(MissingWeightsError, match="timed out"):
                fetch_weights(published(f"http://127.0.0.1:{silent.getsockname()[1]}"))

    def test_folder_that_cannot_be_written(
        self, tmp_path: Path, hub: Path, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocker = tmp_path / "blocker"
        blocker.write_text("")
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(blocker / "weights"))
        server.files = {f"/{NAMES[0]}": CONTENT}
        with pytest.raises(
            OutputError,
            match=r"^cannot write weights to '.*blocker/weights': .+; set GENMETRICS_WEIGHTS to a folder that can be "
            r"written$",
        ):
            fetch_weights(published(server.base))

    def test_extractor_without_weights_fails_at_once(self, own: Path, hub: Path, monkeypatch) -> None:
        dead = {name: f"http://127.0.0.1:{free_port()}/{name}" for name in PUBLISHED["inception-v3.tf2015"].urls}
        monkeypatch.setitem(PUBLISHED, "inception-v3.tf2015", replace(PUBLISHED["inception-v3.tf2015"], urls=dead))
        with pytest.raises(MissingWeightsError) as caught:
            load_extractor("inception-v3.tf2015")
        text = str(caught.value)
        assert len(text.split("\n")) == 2
        for name in (*dead, "--weights PATH", str(own), str(hub)):
            assert name in text


def test_published_inception_is_the_other_tools_file() -> None:
    """Both file names, and the first eight digits of the sha256 in them, as the other tools publish them."""
    published_file = PUBLISHED["inception-v3.tf2015"]
    assert list(published_file.urls) == [
        "pt_inception-2015-12-05-6726825d.pth",
        "weights-inception-2015-12-05-6726825d.pth",
    ]
    assert published_file.sha256.startswith("6726825d") and len(published_file.sha256) == 64
    assert all(url.endswith(name) for name, url in published_file.urls.items())
