"""Our metrics wherever torchmetrics' own go: collections, checkpoints, copies, others' states, training loops."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from genmetrics.errors import GenmetricsWarning, UsageError
from support.colours import Colours
from support.peers import import_peer

torchmetrics = import_peer("torchmetrics")
wrappers = import_peer("torchmetrics.wrappers")

pytestmark = [
    pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning"),
    pytest.mark.filterwarnings("ignore:Metric `.*` will save all:UserWarning"),
]
KID = {"subsets": 3, "subset_size": 8}
NAMES = ["fid", "kid", "mifid", "isc"]


def make(side, name, network=None, **options):
    network = network or Colours()
    if name == "kid":
        return side.KernelInceptionDistance(network, **KID, **options)
    if name == "isc":
        return side.InceptionScore(network, 4, **options)
    if name == "mifid":
        return side.MemorizationInformedFrechetInceptionDistance(network, **options)
    return side.FrechetInceptionDistance(network, **options)


def feed(metric, name, real, fake, batch=9):
    for part in real.split(batch) if name != "isc" else ():
        metric.update(part, real=True)
    for part in fake.split(batch):
        metric.update(part, **({} if name == "isc" else {"real": False}))
    return metric


def figures(metric):
    torch.manual_seed(3)
    value = metric.compute()
    return [float(part) for part in value] if isinstance(value, tuple) else [float(value)]


@pytest.fixture(scope="module")
def sets(images):
    return images(40, 1), images(42, 2, warmth=1.0)


@pytest.mark.parametrize("name", NAMES)
class TestEachMetric:
    def test_it_is_a_metric(self, original, ours, name):
        found, theirs = make(ours, name), make(original, name)
        assert isinstance(found, torchmetrics.Metric) and type(found).__name__ == type(theirs).__name__
        for attribute in (
            "higher_is_better",
            "is_differentiable",
            "full_state_update",
            "plot_lower_bound",
            "plot_upper_bound",
            "feature_network",
        ):
            assert getattr(found, attribute) == getattr(theirs, attribute), attribute

    @pytest.mark.parametrize(
        "again",
        [copy.deepcopy, lambda metric: metric.clone(), lambda metric: pickle.loads(pickle.dumps(metric))],
        ids=["deepcopy", "clone", "pickle"],
    )
    def test_copies(self, ours, sets, name, again):
        metric = feed(make(ours, name), name, *sets)
        copied = again(metric)
        expected = figures(metric)
        metric.reset()
        assert figures(copied) == expected
        feed(copied, name, *sets)  # still takes images
        assert copied.update_count > metric.update_count

    def test_checkpoints(self, ours, sets, name, tmp_path):
        """Half of the images before, half after; states are saved where that is asked for, as of every metric."""
        real, fake = sets
        whole = figures(feed(make(ours, name), name, real, fake))
        model = nn.ModuleDict({"metric": feed(make(ours, name), name, real[:20], fake[:20])})
        assert not [key for key in model.state_dict() if "moments" in key or "features" in key]
        model["metric"].persistent(True)
        torch.save(model.state_dict(), tmp_path / "last.pt")
        resumed = nn.ModuleDict({"metric": make(ours, name)})
        resumed.load_state_dict(torch.load(tmp_path / "last.pt", weights_only=True))
        feed(resumed["metric"], name, real[20:], fake[20:])
        assert figures(resumed["metric"]) == pytest.approx(whole, rel=1e-9)

    def test_checkpoints_of_torchmetrics(self, original, ours, sets, name):
        """With the states in them. Our FID's states are others, and its own MiFID cannot compute from a checkpoint."""
        theirs = feed(make(original, name), name, *sets)
        theirs.persistent(True)
        metric = make(ours, name)
        metric.load_state_dict(theirs.state_dict())
        expected = figures(feed(make(ours, name), name, *sets))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The ``compute`` method of metric")
            assert figures(metric) == pytest.approx(expected, rel=1e-6)
            if name in ("kid", "isc"):
                metric.persistent(True)
                back = make(original, name)
                back.load_state_dict(metric.state_dict())
                assert figures(back) == pytest.approx(figures(theirs), rel=1e-6)

    def test_states_merge(self, original, ours, sets, name):
        real, fake = sets
        whole = figures(feed(make(ours, name), name, real, fake))
        first, second = (
            feed(make(ours, name), name, real[part], fake[part]) for part in (slice(0, 25), slice(25, None))
        )
        figures(second)
        second.merge_state(first)  # which comes before its own
        assert figures(second) == pytest.approx(whole, rel=1e-9)
        theirs = [feed(make(original, name), name, real[:20], fake[:20]) for _ in range(2)]
        before = figures(theirs[0])
        theirs[0].merge_state(theirs[1])
        assert figures(theirs[0]) == before
        third = make(ours, name)
        third.merge_state(feed(make(original, name), name, real, fake).metric_state)
        assert figures(third) == pytest.approx(whole, rel=1e-6)
        with pytest.raises(
            UsageError, match=r"^the state of a SumMetric cannot be merged into a \w+; of torchmetrics' own"
        ):
            third.merge_state(torchmetrics.SumMetric())
        with pytest.raises(UsageError, match=r"^the state has no '\w+', and a \w+ has .*; given are sum$"):
            third.merge_state({"sum": torch.zeros(())})

    def test_casts_of_the_module_around_it_cost_no_digits(self, ours, sets, name):
        expected = figures(feed(make(ours, name), name, *sets))
        around = nn.ModuleDict({"metric": feed(make(ours, name), name, *sets)})
        around.half()
        around.to(torch.bfloat16)
        around.to("cpu", torch.float16)
        assert figures(around["metric"]) == expected
        around["metric"].reset()
        around["metric"].set_dtype(torch.float32)
        assert figures(feed(around["metric"], name, *sets)) == expected

    def test_states_on_the_cpu(self, ours, sets, name):
        metric = make(ours, name, compute_on_cpu=True)
        assert figures(feed(metric, name, *sets)) == figures(feed(make(ours, name), name, *sets))

    def test_numbers_are_kept_until_there_are_more_images(self, ours, sets, name):
        for keeps in (True, False):
            metric = feed(make(ours, name, compute_with_cache=keeps), name, *sets)
            metric.compute()
            assert (metric._computed is not None) is keeps
            feed(metric, name, *sets)
            assert metric._computed is None

    def test_unknown_keywords(self, original, ours, name):
        for side in (ours, original):
            with pytest.raises(ValueError, match=r"Unexpected keyword arguments: `sync`"):
                make(side, name, sync=True)

    def test_plots(self, ours, sets, name):
        pytest.importorskip("matplotlib", reason="needs matplotlib; pip install 'genmetrics[bench]'")
        metric = feed(make(ours, name), name, *sets)
        value = metric.compute()
        figure, _ = metric.plot()
        assert figure is not None
        single = value[0] if isinstance(value, tuple) else value
        metric.plot([single, single])

    def test_plots_need_matplotlib(self, ours, sets, name, monkeypatch):
        import torchmetrics.utilities.plot as plotting

        monkeypatch.setattr(plotting, "_MATPLOTLIB_AVAILABLE", False)
        with pytest.raises(ModuleNotFoundError, match="matplotlib"):
            feed(make(ours, name), name, *sets).plot()


class TestCollections:
    @pytest.mark.parametrize("groups", [True, False])
    def test_numbers_are_those_of_the_metrics_alone(self, ours, sets, groups):
        """Metrics of one network have equal states, which a collection lets them share."""
        collection = torchmetrics.MetricCollection(
            {
                "fid": make(ours, "fid"),
                "kid": make(ours, "kid"),
                "more": ours.KernelInceptionDistance(Colours(), subsets=2, subset_size=10),
                "mifid": make(ours, "mifid"),
            },
            compute_groups=groups,
        )
        for _ in range(2):
            feed(collection, "all", *sets)
            found = {}
            for name, metric in collection.items(keep_base=True, copy_state=False):
                found[name] = figures(metric)
            for name in ("fid", "kid", "mifid"):
                assert found[name] == pytest.approx(figures(feed(make(ours, name), name, *sets)), rel=1e-9), name
            assert collection.compute().keys() == found.keys()
            collection.reset()
        if groups:
            assert {"kid", "more"} <= set(next(group for group in collection.compute_groups.values() if "kid" in group))

    def test_one_network_for_all(self, ours, sets, inception_weights, images):
        """``FeatureShare`` computes the features of a batch once; it finds other outputs of Inception to be others."""
        options = {"feature_extractor_weights_path": inception_weights}
        metrics = [
            ours.FrechetInceptionDistance(64, **options),
            ours.KernelInceptionDistance(64, subsets=2, subset_size=2, **options),
        ]
        calls = []
        metrics[0].inception.register_forward_hook(lambda *_: calls.append(1))
        shared = wrappers.FeatureShare([metric.clone() for metric in metrics])
        real, fake = images(2, 1), images(2, 2)
        for collection in (shared, *metrics):
            collection.update(real, real=True)
            collection.update(fake, real=False)
        found = shared.compute()
        assert float(found["FrechetInceptionDistance"]) == float(metrics[0].compute())
        features = shared["KernelInceptionDistance"].real_features[0]
        assert torch.equal(features, metrics[1].real_features[0])
        with pytest.warns(UserWarning, match="has a different network than the first"):
            wrappers.FeatureShare([metrics[0].clone(), ours.InceptionScore(192, **options, antialias=True)])


class TestTraining:
    """What Lightning does with a metric that is an attribute of its module and is logged, without Lightning."""

    class Generator(nn.Module):
        def __init__(self, fid, kid):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)
            self.fid, self.kid = fid, kid

        def validation_step(self, real):
            fake = torch.sigmoid(self.layer(real.float() / 255))
            for metric in (self.fid, self.kid):
                metric.update((fake * 255).to(torch.uint8), real=False)
            return fake

    def test_epochs(self, ours, sets):
        real, _ = sets
        torch.manual_seed(0)
        model = self.Generator(
            make(ours, "fid", reset_real_features=False), make(ours, "kid", reset_real_features=False)
        )
        for part in real.split(9):
            model.fid.update(part, real=True)
            model.kid.update(part, real=True)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        logged = []
        for _ in range(3):
            model.train()
            loss = (torch.sigmoid(model.layer(real.float() / 255)) - real.float() / 255).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            model.eval()
            with torch.inference_mode():
                made = [model.validation_step(part) for part in real.split(11)]
                logged.append([float(model.fid.compute()), float(model.kid.compute()[0])])
                model.fid.reset()
                model.kid.reset()
            bytes_ = (torch.cat(made) * 255).to(torch.uint8)
            expected = figures(feed(make(ours, "fid"), "fid", real, bytes_))[0]
            assert logged[-1][0] == pytest.approx(expected, rel=1e-9)
        assert logged[0][0] > logged[-1][0]  # it has learnt something


def test_composition(ours, sets):
    fid = feed(make(ours, "fid"), "fid", *sets)
    assert float((fid * 2 + 1).compute()) == pytest.approx(2 * figures(fid)[0] + 1)


def test_on_the_first_process_alone_there_are_warnings(ours, inception_weights, monkeypatch):
    prints = import_peer("torchmetrics.utilities.prints")
    monkeypatch.setattr(prints.rank_zero_only, "rank", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.FrechetInceptionDistance(64, feature_extractor_weights_path=inception_weights)
    monkeypatch.setattr(prints.rank_zero_only, "rank", 0)
    with pytest.warns(GenmetricsWarning) as caught:
        ours.FrechetInceptionDistance(64, feature_extractor_weights_path=inception_weights)
    assert caught[0].filename == __file__
