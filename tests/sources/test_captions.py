from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genmetrics as gm
from genmetrics.errors import SourceError
from genmetrics.sources.captions import _texts, captions_of

NAMES = ("a/1.png", "a/2.png", "b/3.png")
TEXTS = ["one", "two, with a comma", "three"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "images"


def written(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"captions{kind}"
    pairs = list(zip(NAMES, TEXTS, strict=True))[::-1]
    if kind == ".json":
        path.write_text(json.dumps(dict(pairs)))
    elif kind == ".jsonl":
        path.write_text("\n".join(json.dumps({"file_name": name, "text": text}) for name, text in pairs) + "\n")
    elif kind == ".csv":
        path.write_text("file_name,text\n" + "".join(f'{name},"{text}"\n' for name, text in pairs))
    elif kind == ".tsv":
        path.write_text("image\tcaption\n" + "".join(f"{name}\t{text}\n" for name, text in pairs))
    elif kind == ".txt":
        path.write_text("\r\n".join(TEXTS) + "\r\n")
    else:
        for name, text in pairs:
            file = path / Path(name).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
    return path


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".csv", ".tsv", ".txt", ""])
def test_every_form(folder: Path, tmp_path: Path, kind: str) -> None:
    assert captions_of(gm.open_source(folder), written(tmp_path, kind)) == TEXTS


def test_last_parts_of_names_do_where_they_tell_images_apart(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"1": "one", "2.png": "two", "b/3": "three"}))
    assert captions_of(gm.open_source(folder), path) == ["one", "two", "three"]
    Image.new("RGB", (4, 4)).save(folder / "b/1.png")
    with pytest.raises(SourceError, match=r"3 of 4 images have no caption: a/1\.png, a/2\.png, b/1\.png"):
        captions_of(gm.open_source(folder), path)


def test_a_sequence() -> None:
    source = gm.open_source(np.zeros((2, 4, 4, 3), dtype=np.uint8))
    assert captions_of(source, ["x", "y"]) == ["x", "y"]
    with pytest.raises(SourceError, match="the sequence of captions: 1 text for 2 images, expected one for each"):
        captions_of(source, ["x"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", "[1]", "a list at the top; expected"),
        ("c.json", '{"a/1.png": 3}', "the caption of 'a/1.png' is a int"),
        ("c.json", "{", "expected"),
        ("c.jsonl", '{"file_name": "a/1.png"}', "line 1 has no pair of file_name and text"),
        ("c.csv", "name,caption\na/1.png,x\na/1.png,y\n", "'a/1.png' has two captions"),
        ("c.xml", "<a/>", "a file of kind '.xml'"),
        ("c.json", '{"a/1.png": "x"}', "2 of 3 images have no caption: a/2.png, b/3.png"),
        ("c.txt", "x\ny\n", "2 texts for 3 images"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message.replace("[", r"\[")):
        captions_of(gm.open_source(folder), tmp_path / name)


def test_an_empty_folder_and_a_missing_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match=r"the folder has no \.txt files"):
        captions_of(gm.open_source(folder), tmp_path / "none")
    with pytest.raises(SourceError, match="missing"):
        captions_of(gm.open_source(folder), tmp_path / "missing.json")


def test_a_mapping_goes_by_names(folder: Path) -> None:
    source = gm.open_source(folder)
    assert captions_of(source, dict(list(zip(NAMES, TEXTS, strict=True))[::-1])) == TEXTS
    with pytest.raises(SourceError, match=r"the mapping of captions: 3 of 3 images have no caption"):
        captions_of(source, {"x": "y"})


def test_a_caption_is_a_text() -> None:
    with pytest.raises(SourceError, match=r"the caption of 'a/1\.png' is a NoneType, expected a text"):
        _texts([("a/1.png", None)])


def test_lines_that_are_empty_at_the_end_are_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("one\ntwo, with a comma\nthree\n\n\n")
    assert captions_of(gm.open_source(folder), tmp_path / "c.txt") == TEXTS
    (tmp_path / "c.txt").write_text("one\n")
    with pytest.raises(SourceError, match=r"^captions in '[^']*c\.txt': 1 text for 3 images, expected one for each$"):
        captions_of(gm.open_source(folder), tmp_path / "c.txt")
