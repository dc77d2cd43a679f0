from __future__ import annotations

import pytest

from genmetrics.errors import UsageError
from genmetrics.sources.query import GENERATOR_OPTIONS, generator_options, guess_type, split_query


def test_split() -> None:
    assert split_query("a/G.pt", "w") == ("a/G.pt", {})
    assert split_query("a?b/G.pt?z_size=3&seed=1", "w") == ("a?b/G.pt", {"z_size": "3", "seed": "1"})
    assert split_query("m:f?text=a%26b%3Dc d", "w") == ("m:f", {"text": "a&b=c d"})


@pytest.mark.parametrize("query", ["", "z_size", "z_size=", "=3", "a=1&&b=2"])
def test_what_is_no_parameter(query: str) -> None:
    with pytest.raises(UsageError, match=r"'x': '.*' behind '\?' is no parameter, expected name=value, joined by '&'"):
        split_query(f"G.pt?{query}", "'x'")


def test_a_parameter_twice() -> None:
    with pytest.raises(UsageError, match=r"'x': 'seed' is given twice \('1' and '2'\); give it once"):
        split_query("G.pt?seed=1&seed=2", "'x'")


def test_every_option() -> None:
    texts = {
        "z_size": "4x64x64",
        "num_samples": "1000",
        "z_type": "unit",
        "num_classes": "10",
        "labels": "balanced",
        "draw": "torch-fidelity",
        "seed": "7",
        "batch_size": "8",
        "device": "cuda:1",
        "value_range": "-1,1",
        "rounding": "truncate",
        "probe": "false",
    }
    assert texts.keys() == GENERATOR_OPTIONS.keys()
    assert generator_options(texts, "w") == {
        "z_size": (4, 64, 64),
        "num_samples": 1000,
        "z_type": "unit",
        "num_classes": 10,
        "labels": "balanced",
        "draw": "torch-fidelity",
        "seed": 7,
        "batch_size": 8,
        "device": "cuda:1",
        "value_range": (-1, 1),
        "rounding": "truncate",
        "probe": False,
    }
    assert generator_options({"z_size": "128"}, "w") == {"z_size": 128}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("z_size", "4x", "a number such as 128, or a shape such as 4x64x64"),
        ("num_samples", "1e3", "a whole number"),
        ("value_range", "0,2", "0,1 or -1,1 or 0,255"),
        ("probe", "no", "true or false"),
    ],
)
def test_what_cannot_be_read(name: str, text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        generator_options({name: text}, "'onnx:G'")
    assert str(caught.value) == f"'onnx:G': {name} is '{text}', expected {expected}"


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="'x': unknown parameter 'num_sample'; did you mean 'num_samples'"):
        generator_options({"num_sample": "3"}, "'x'")


def test_guessed_types() -> None:
    assert [guess_type(text) for text in ("3", "0.5", "true", "false", "a3", "True")] == [
        3,
        0.5,
        True,
        False,
        "a3",
        "True",
    ]
    assert type(guess_type("3")) is int
