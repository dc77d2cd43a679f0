"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from genmetrics.errors import OutputError
from genmetrics.files import check_writable, write_atomically, write_text


def test_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is whole before the name is taken."""
    path = tmp_path / "report.json"
    path.write_text("old")
    seen: list[tuple[str, str]] = []
    move = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((path.read_text(), self.read_text()))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_text(path, "new")
    assert seen == [("old", "new")]
    assert path.read_text() == "new"


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"^cannot write '.*report\.json': No space left on device$"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [check_writable, lambda path: write_text(path, "x")], ids=["check", "write"])
class TestUnwritable:
    def test_folder(self, tmp_path: Path, write) -> None:
        with pytest.raises(OutputError) as caught:
            write(tmp_path)
        assert str(caught.value) == (
            f"cannot write '{tmp_path}': it is a folder; give a file name, such as '{tmp_path}/report.json'"
        )

    @pytest.mark.parametrize("parent", ["missing", "a file"])
    def test_no_folder(self, tmp_path: Path, write, parent: str) -> None:
        folder = tmp_path / "results"
        if parent == "a file":
            folder.write_text("")
        with pytest.raises(OutputError) as caught:
            write(folder / "report.json")
        assert str(caught.value) == (
            f"cannot write '{folder}/report.json': the folder '{folder}' does not exist; create it first"
        )

    def test_refused_by_the_system(self, tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object, **kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
        with pytest.raises(OutputError, match=r"^cannot write '.*report\.json': Permission denied$"):
            write(tmp_path / "report.json")


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    check_writable(tmp_path / "report.json")
    check_writable(tmp_path / "new.json")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "ref.safetensors"
    path.write_bytes(b"old")

    def half(temporary: Path) -> None:
        temporary.write_bytes(b"half of the new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"^cannot write '.*ref\.safetensors': No space left on device$"):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
