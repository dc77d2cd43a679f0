"""What ranks tell one another of an error, as text and back."""

from __future__ import annotations

import pytest

from genmetrics import errors
from genmetrics.distributed.failures import Failure, origin_of
from genmetrics.distributed.watch import TIMEOUT_VARIABLE, Watch
from genmetrics.errors import BadImageError, DistributedError, GenmetricsError, SourceError, UsageError

OURS = [name for name in errors.__all__ if issubclass(getattr(errors, name), GenmetricsError)]


def told(error: BaseException, rank: int = 3) -> Failure:
    return Failure.from_text(Failure.of(error, rank).to_text())


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_errors_arrives_as_itself(name: str) -> None:
    failure = told(getattr(errors, name)("what is to be done, in ümlauts and \udce4 bytes"))
    arrived = failure.error(rank=1)
    assert type(arrived) is getattr(errors, name)
    # One of lost processes says itself whose it is.
    prefix = "" if name == "DistributedError" else "rank 3: "
    assert str(arrived) == f"{prefix}what is to be done, in ümlauts and \udce4 bytes"
    assert origin_of(arrived) == failure
    own = failure.error(rank=3)
    assert str(own) == "what is to be done, in ümlauts and \udce4 bytes"
    assert origin_of(own) is None


def test_an_error_that_others_derived_arrives_as_the_nearest_of_ours() -> None:
    class TheirError(SourceError):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    arrived = told(TheirError(1, 2)).error(rank=0)
    assert type(arrived) is SourceError and str(arrived) == "rank 3: 1 and 2"


def test_images_that_cannot_be_read_arrive_with_the_error() -> None:
    arrived = told(BadImageError("two", (("a.png", "no image"), ("b.png", "cut off")))).error(rank=0)
    assert isinstance(arrived, BadImageError)
    assert arrived.images == (("a.png", "no image"), ("b.png", "cut off"))


def test_a_defect_arrives_with_its_traceback() -> None:
    try:
        _ = {}["nothing"]
    except KeyError as error:
        arrived = told(error).error(rank=0)
    assert type(arrived) is DistributedError
    assert str(arrived) == "rank 3 failed with KeyError: 'nothing'"
    assert '_ = {}["nothing"]' in str(arrived.__cause__)
    assert str(told(AssertionError()).error(rank=0)) == "rank 3 failed with AssertionError"


def test_an_interrupt_arrives_as_one() -> None:
    arrived = told(KeyboardInterrupt()).error(rank=0)
    assert type(arrived) is KeyboardInterrupt and str(arrived) == "rank 3 was interrupted"


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, text)
    with pytest.raises(
        UsageError, match=rf"^{TIMEOUT_VARIABLE}={text}: expected a number of seconds above 0, such as 60$"
    ):
        Watch(0, 2)
