from __future__ import annotations

import pytest

from genmetrics.compat.vq.overrides import BATCH_SIZE, FID_PATH, NUM_WORKERS, parse_overrides
from genmetrics.errors import UsageError

KNOWN = (BATCH_SIZE, NUM_WORKERS, FID_PATH)


@pytest.mark.parametrize(
    "text", [".dataloader.batch_size:1024", ".dataloader.batch_size::1024", "dataloader.batch_size=1024"]
)
def test_every_way_to_write_one(text: str) -> None:
    found = parse_overrides([text, ".dataset.fid_path:'C:/x.pth'"], KNOWN)
    assert found.number(BATCH_SIZE, 1) == 1024
    assert found.number(NUM_WORKERS, 0) is None
    assert found.text(FID_PATH) == "C:/x.pth"
    assert found.given == {BATCH_SIZE: "1024", FID_PATH: "'C:/x.pth'"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["batch_size"], r"--override 'batch_size': expected KEY:VALUE, where KEY is one of .dataloader.batch_size, "),
        (["batch_size:2"], "--override 'batch_size:2': no such key here; known: .dataloader.batch_size, "),
        ([f"{BATCH_SIZE}:2", f"{BATCH_SIZE}:3"], r"'.dataloader.batch_size' is given twice \('2' and '3'\)"),
        ([f"{BATCH_SIZE}:0"], ".dataloader.batch_size:0: expected a whole number of at least 1"),
        ([f"{BATCH_SIZE}:1.5"], ".dataloader.batch_size:1.5: expected a whole number of at least 1"),
        ([f"{FID_PATH}:''"], ".dataset.fid_path:'': expected a text behind the colon"),
    ],
)
def test_what_is_wrong(texts: list[str], message: str) -> None:
    def read() -> None:
        found = parse_overrides(texts, KNOWN)
        found.number(BATCH_SIZE, 1)
        found.text(FID_PATH)

    with pytest.raises(UsageError, match=message):
        read()
