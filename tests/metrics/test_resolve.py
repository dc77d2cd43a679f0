"""What the names that people type stand for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.metrics.resolve import build_metrics, resolve_metric
from genmetrics.types import ExtractorInfo, MetricInfo

LITE = "efficientnet-lite0.in1k"
INCEPTION = "inception-v3.tf2015"
NO_CLASSES = ExtractorInfo("vision.ssl", "m:C", "without classes", {"cls": 8, "patch": 9}, "squash-8", pool="cls")


def lookup(name: str) -> ExtractorInfo:
    return NO_CLASSES if name == NO_CLASSES.id else EXTRACTORS.get(name)


def resolve(name: str, extractor: str | None = None) -> MetricInfo:
    return resolve_metric(name, extractor, lookup)


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("fid", f"{INCEPTION}/2048/tf1-bilinear-299"),
        ("fid_pytorch_64", f"{INCEPTION}/64/torch-bilinear-299"),
        ("isc", f"{INCEPTION}/logits_unbiased/tf1-bilinear-299/splits10"),
    ],
)
@pytest.mark.parametrize("extractor", [None, INCEPTION])
def test_name_on_its_own_network_stays(name: str, protocol: str, extractor: str | None) -> None:
    info = resolve(name, extractor)
    assert info.id == name
    assert str(info.protocol) == protocol


@pytest.mark.parametrize(
    ("name", "id_there", "protocol"),
    [
        ("fid", f"fd.{LITE}", f"{LITE}/1280/crop875-bicubic-224"),
        ("kid", f"kid.{LITE}", f"{LITE}/1280/crop875-bicubic-224/poly3-100x1000"),
        ("isc", f"isc.{LITE}", f"{LITE}/logits/crop875-bicubic-224/splits10"),
    ],
)
def test_other_network_gives_another_name(name: str, id_there: str, protocol: str) -> None:
    info = resolve(name, LITE)
    assert info.id == id_there
    assert str(info.protocol) == protocol
    # Nothing published is claimed of it, and what it stands for stays in the registry.
    assert info.equals == ""
    assert resolve(name).extractor == INCEPTION
    # The same, asked for directly, with or without the extractor.
    assert resolve(id_there) == info
    assert resolve(id_there, LITE) == info


def test_family_on_its_own_network_is_the_published_metric() -> None:
    assert resolve(f"fd.{INCEPTION}") == resolve("fid")
    assert resolve(f"kid.{INCEPTION}") == resolve("kid")


@pytest.mark.parametrize("name", ["fid_64", "fid_pytorch"])
def test_layers_and_variants_stay_at_home(name: str) -> None:
    with pytest.raises(
        UsageError,
        match=rf"^metric '{name}' is a layer or variant of '{INCEPTION}' and has no counterpart on '{LITE}'; on "
        r"other extractors ask for: fid, .*\bkid, .*\bisc\b",
    ):
        resolve(name, LITE)


def test_score_needs_classes() -> None:
    with pytest.raises(
        UsageError,
        match=r"^metric 'isc' needs class logits, and extractor 'vision\.ssl' has none \(outputs: cls, patch\); "
        r"leave 'isc' out or choose a classifier$",
    ):
        resolve("isc", NO_CLASSES.id)
    assert resolve("fid", NO_CLASSES.id).feature == "cls"


def test_family_alone_is_refused_with_both_ways_out() -> None:
    with pytest.raises(
        UsageError,
        match=rf"^metric 'fd' is a family of metrics; ask for 'fid', or name the network: 'fd\.{LITE}'$",
    ):
        resolve("fd")


def test_two_networks_are_refused() -> None:
    with pytest.raises(
        UsageError,
        match=rf"^metric 'fd\.{LITE}' names its own extractor; leave out '--extractor {INCEPTION}'$",
    ):
        resolve(f"fd.{LITE}", INCEPTION)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fdi", r"did you mean 'fid'"),
        ("FID", r"did you mean 'fid'"),
        ("fid_pytorch_65", r"did you mean 'fid_pytorch_64'"),
    ],
)
def test_near_name_is_suggested(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"^unknown metric '{name}'; {hint}"):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (f"fid.{LITE}", UsageError, rf"on another network 'fid' is called 'fd'; ask for 'fd\.{LITE}'$"),
        (f"fid_inf.{LITE}", UsageError, rf"on another network 'fid_inf' is called 'fd_inf'; ask for 'fd_inf\.{LITE}'$"),
        (f"intra_fid.{LITE}", UsageError, rf"is called 'intra_fd'; ask for 'intra_fd\.{LITE}'$"),
        (f"fid.{INCEPTION}", UsageError, r"'fid' is of that network; ask for 'fid'$"),
        (f"fid_64.{LITE}", UsageError, rf"has no counterpart on other networks, on which there are: fd\.{LITE}, "),
        (
            f"prcd.{LITE}",
            UnknownNameError,
            rf"^unknown metric 'prcd\.{LITE}'; did you mean 'prc\.{LITE}' or 'prdc\.{LITE}'\?$",
        ),
        ("zzzz.hf:a/b", UnknownNameError, r"; known: authpct\.hf:a/b, .*, fd\.hf:a/b, "),
    ],
)
def test_names_on_another_network_that_are_none(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name)


def test_far_name_lists_all() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown metric 'psnr'; known: .*\bfid, .*\bisc, .*\bkid\b"):
        resolve("psnr")


def test_unknown_network() -> None:
    with pytest.raises(UnknownNameError, match=rf"^unknown extractor 'efficientnet-lite0'; did you mean '{LITE}'\?$"):
        resolve("fd.efficientnet-lite0")
    with pytest.raises(UnknownNameError, match=r"^unknown extractor 'resnet'"):
        resolve("fid", "resnet")


def test_built_metrics_come_once_and_in_order() -> None:
    metrics = build_metrics(["kid", "fid", f"kid.{LITE}", "kid", f"fd.{INCEPTION}"], None, lookup, seed=3)
    assert [metric.id for metric in metrics] == ["kid", "fid", f"kid.{LITE}"]
    assert metrics[2].needs[0].extractor == LITE


def test_described_metric_stands_for_itself() -> None:
    described = replace(METRICS.get("kid"), id="kid_50", settings=(("num_subsets", 50), ("subset_size", 10)))
    metrics = build_metrics(["kid", described, described], None, lookup, seed=3)
    assert [metric.id for metric in metrics] == ["kid", "kid_50"]
    assert (metrics[1].num_subsets, metrics[1].subset_size) == (50, 10)
    assert metrics[0].needs == metrics[1].needs  # the features are kept once


def test_described_metric_has_its_network() -> None:
    with pytest.raises(UsageError, match=r"metric 'fid' is described with its extractor 'inception-v3\.tf2015'; leave"):
        build_metrics([METRICS.get("fid")], LITE, lookup, seed=3)


def test_two_descriptions_of_one_id_are_refused() -> None:
    other = replace(METRICS.get("kid"), settings=(("num_subsets", 50), ("subset_size", 10)))
    with pytest.raises(UsageError, match="two different metrics have the id 'kid'; give each an id of its own"):
        build_metrics(["kid", other], None, lookup, seed=3)
