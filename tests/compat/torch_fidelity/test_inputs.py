"""What calculate_metrics takes for an input, as images: against torch-fidelity 0.4.0's own lists and pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity import adapters, datasets, registry, utils
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.samples import SamplesFolder
from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.sources import cifar
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.datasets import DATASETS
from genmetrics.types import Shard
from sources.test_datasets import small, write_cifar
from support.peers import import_peer

peer_datasets = import_peer("torch_fidelity.datasets")
peer_registry = import_peer("torch_fidelity.registry")
peer_utils = import_peer("torch_fidelity.utils")
torchvision_cifar = import_peer("torchvision.datasets.cifar")


def read(source: ImageSource) -> list[Tensor]:
    found = {}
    for batch in source.batches(Shard(), BatchSpec()):
        found |= dict(zip(batch.indices.tolist(), batch.images, strict=True))
    return [found[index] for index in range(len(source))]


def theirs(path: Path, **options: Any) -> list[Tensor]:
    opened = peer_utils.prepare_input_from_descriptor({"input": str(path)}, verbose=False, **options)
    return [opened[index] for index in range(len(opened))]


def equal(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several kinds and sizes, at two depths."""
    root, rng = tmp_path / "images", np.random.RandomState(0)
    names = ["b.png", "a.PNG", "c.jpg", "d.webp", ".hidden.png", "deep/e.png", "deep/er/f.jpeg", "note.txt", "g.bmp"]
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
            continue
        pixels = rng.randint(0, 256, (20 + 3 * number, 31 - 2 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    Image.new("RGBA", (9, 11), (200, 10, 30, 0)).save(root / "h.png")
    (root / "i.png").symlink_to(root / "b.png")
    (root / "linked").symlink_to(root / "deep")
    return root


class TestFolder:
    @pytest.mark.parametrize("deep", [False, True])
    @pytest.mark.parametrize("ext", ["png,jpg,jpeg", "png", " jpg , jpeg ", "webp,bmp"])
    def test_images_are_theirs_in_their_order(self, folder, deep, ext):
        found = adapters.source_of(str(folder), samples_find_deep=deep, samples_find_ext=ext)
        assert equal(read(found), theirs(folder, samples_find_deep=deep, samples_find_ext=ext))
        paths = utils.glob_samples_paths(str(folder), deep, ext, verbose=False)
        assert paths == peer_utils.glob_samples_paths(str(folder), deep, ext, verbose=False)

    @pytest.mark.parametrize("size", [16, 20, 40])
    def test_resize_and_crop(self, folder, size):
        found = read(adapters.source_of(str(folder), samples_resize_and_crop=size))
        assert equal(found, theirs(folder, samples_resize_and_crop=size))
        assert {tuple(image.shape) for image in found} == {(3, size, size)}
        assert not equal(found, theirs(folder))

    def test_what_is_passed_over_is_said(self, folder, capsys):
        plain, deep = SamplesFolder(folder), SamplesFolder(folder, find_deep=True)
        assert "passed over 2 images in subfolders; samples_find_deep reads them" in plain.notes
        of_others = "passed over 2 images of other extensions (d.webp, g.bmp); name those in samples_find_ext"
        assert of_others in plain.notes and of_others in deep.notes
        assert "1 of them are lossy-compressed, which may affect metrics" in plain.notes
        assert "passed over 1 linked folder (linked)" in deep.notes
        assert any("occur in it before" in note for note in plain.notes)
        assert capsys.readouterr() == ("", "")
        utils.glob_samples_paths(folder, False, "png", "jpg")
        printed = capsys.readouterr()
        assert printed.out == "" and f"'{folder}': 5 samples" in printed.err and "subfolders" in printed.err

    def test_upper_case_extensions_may_be_asked_for(self, folder):
        """torch-fidelity finds nothing for them."""
        assert len(utils.glob_samples_paths(folder, False, ".PNG", verbose=False)) == 5
        assert peer_utils.glob_samples_paths(str(folder), False, "PNG", verbose=False) == []

    def test_fingerprints(self, folder):
        plain, cropped = SamplesFolder(folder), SamplesFolder(folder, resize_and_crop=16)
        other = SamplesFolder(folder, resize_and_crop=17)
        for digests in (
            [source.fingerprint().digest for source in (plain, cropped, other)],
            [source.identity() for source in (plain, cropped, other)],
        ):
            assert len(set(digests)) == 3
        assert cropped.description == f"{folder} (pil-bilinear-16)"
        assert SamplesFolder(folder, resize_and_crop=16).fingerprint() == cropped.fingerprint()

    def test_errors(self, folder, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(
            SourceError, match=r"no samples found in '.*empty': looked in it, and not in its subfolders"
        ):
            adapters.source_of(str(tmp_path / "empty"))
        with pytest.raises(SourceError, match=r"for gif; passed over 2 images|for gif.*other extensions"):
            adapters.source_of(str(folder), samples_find_ext="gif")
        with pytest.raises(UsageError, match=r"samples_find_ext is ' ,'; expected extensions"):
            adapters.source_of(str(folder), samples_find_ext=" ,")
        with pytest.raises(UsageError, match=r"samples_resize_and_crop is -1"):
            adapters.source_of(str(folder), samples_resize_and_crop=-1)
        (folder / "b.png").write_bytes(b"broken")
        with pytest.raises(SourceError, match=r"b\.png"):
            read(adapters.source_of(str(folder)))


class Images(Dataset):
    def __init__(self, count: int = 6) -> None:
        self.images = torch.randint(0, 256, (count, 3, 8, 9), generator=torch.Generator().manual_seed(0)).byte()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


class Pairs(Images):
    """What torch-fidelity refuses."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], index


@pytest.mark.parametrize("kind", [Images, Pairs])
def test_a_torch_dataset(kind):
    assert equal(read(adapters.source_of(kind())), list(Images().images))


class TestRegistered:
    @pytest.fixture(autouse=True)
    @staticmethod
    def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Any:
        before = set(registry.DATASETS_REGISTRY)
        yield
        for name in set(registry.DATASETS_REGISTRY) - before:
            del registry.DATASETS_REGISTRY[name]

    def test_of_the_users(self, tmp_path, monkeypatch):
        calls = []
        registry.register_dataset("mine", lambda root, download: calls.append((root, download)) or Images(4))
        assert len(read(adapters.source_of("mine", datasets_root=tmp_path / "new", datasets_download=False))) == 4
        assert calls == [(str(tmp_path / "new"), False)] and (tmp_path / "new").is_dir()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
        adapters.source_of("mine")
        assert calls[1] == (str(tmp_path / "home" / "fidelity_datasets"), True)

    def test_a_name_goes_before_a_folder(self, tmp_path, monkeypatch):
        (tmp_path / "mine").mkdir()
        monkeypatch.chdir(tmp_path)
        registry.register_dataset("mine", lambda root, download: Images(4))
        assert len(adapters.source_of("mine")) == 4

    def test_a_function_that_gives_something_else(self):
        registry.register_dataset("mine", lambda root, download: [1])
        with pytest.raises(UsageError, match="dataset 'mine': its function gave a list; expected a torch Dataset"):
            adapters.source_of("mine")

    @pytest.mark.parametrize(("name", "split"), [("cifar10-train", "train"), ("cifar10-val", "test")])
    def test_cifar10(self, name, split, tmp_path, monkeypatch):
        """From the folder that torchvision makes, in its order."""
        root = tmp_path / "root"
        write_cifar(root)
        monkeypatch.setattr(cifar, "CIFAR10", small(cifar.CIFAR10, 4))
        monkeypatch.setattr(torchvision_cifar.CIFAR10, "_check_integrity", lambda _: True)
        monkeypatch.setattr(torchvision_cifar, "check_integrity", lambda *_: True)
        expected = peer_registry.DATASETS_REGISTRY[name](str(root), False)
        source = adapters.source_of(name, datasets_root=str(root), datasets_download=False)
        assert source.description == f"cifar10:{split}"
        assert equal(read(source), [expected[index] for index in range(len(expected))])
        opened = registry.DATASETS_REGISTRY[name](str(root), False)
        assert isinstance(opened, Dataset) and len(opened) == len(expected)
        assert torch.equal(opened[1], expected[1]) and torch.equal(opened[-1], expected[len(expected) - 1])
        with pytest.raises(IndexError, match="of"):
            opened[len(opened)]

    def test_a_dataset_that_is_not_there(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        with pytest.raises(
            SourceError, match=r"'stl10' is not here: .* in '.*root'; it was not to be fetched: put stl10"
        ):
            adapters.source_of("stl10-unlabeled", datasets_root=tmp_path / "root", datasets_download=False)
        with pytest.raises(
            SourceError, match=r"'cifar100' is not here: .*fidelity_datasets.*; it was not to be fetched"
        ):
            adapters.source_of("cifar100-val", datasets_download=False)
        with pytest.raises(SourceError, match=r"looked for the folder .* in '.*root'; downloading .* failed"):
            adapters.source_of("cifar10-train", datasets_root=tmp_path / "root")
        assert not list((tmp_path / "root").iterdir())

    def test_every_name_stands_for_a_split(self):
        for name in ("cifar10-train", "cifar10-val", "cifar100-train", "cifar100-val", "stl10-train", "stl10-test"):
            dataset, split = registry.DATASETS_REGISTRY[name].args
            assert split in DATASETS.get(dataset).splits


def test_other_things_that_our_engine_takes(tmp_path):
    tensor = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert adapters.source_of(tensor) is tensor
    np.savez(tmp_path / "images.npz", np.zeros((2, 4, 4, 3), dtype=np.uint8))
    assert adapters.source_of(str(tmp_path / "images.npz")) == str(tmp_path / "images.npz")
    assert adapters.source_of("cifar10:train") == "cifar10:train"


def test_what_cannot_be_an_input():
    with pytest.raises(SourceError, match=r"input2 is 'cifar10-tran', which is neither .*'cifar10-train'.*; else give"):
        adapters.source_of("cifar10-tran", slot="input2")
    with pytest.raises(UsageError, match="input1 is missing; give the name of a registered dataset, a folder"):
        adapters.source_of(None)


class TestDatasets:
    def test_random_images(self):
        found, expected = (module.RandomlyGeneratedDataset(5, 3, 4, 6) for module in (datasets, peer_datasets))
        assert len(found) == len(expected) and torch.equal(found.imgs, expected.imgs)
        assert not torch.equal(found.imgs, datasets.RandomlyGeneratedDataset(5, 3, 4, 6, seed=1).imgs)
        assert equal(read(adapters.source_of(found)), list(expected.imgs))
        with pytest.raises(UsageError, match=r"dtype is torch.float32; expected torch.uint8"):
            datasets.RandomlyGeneratedDataset(5, 3, 4, 6, dtype=torch.float32)

    def test_image_files(self, folder):
        files = utils.glob_samples_paths(folder, True, "png,jpg,jpeg", verbose=False)
        found, expected = datasets.ImagesPathDataset(files), peer_datasets.ImagesPathDataset(files)
        assert equal([found[i] for i in range(len(found))], [expected[i] for i in range(len(expected))])
        sizes = datasets.ImagesPathDataset(files, lambda image: image.size)
        with Image.open(files[0]) as image:
            assert sizes[0] == image.size
        (folder / "b.png").write_bytes(b"broken")
        with pytest.raises(SourceError, match=r"b\.png"):
            found[files.index(str(folder / "b.png"))]

    @pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
    def test_transform(self, mode):
        image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (4, 5, 3), dtype=np.uint8)).convert(mode)
        assert torch.equal(datasets.TransformPILtoRGBTensor()(image), peer_datasets.F.pil_to_tensor(image))
        unchecked = getattr(datasets.TransformPILtoRGBTensor.__call__, "__wrapped__", None)
        if unchecked is not None:
            with pytest.raises(UsageError, match="the image is a int; expected a PIL"):
                unchecked(datasets.TransformPILtoRGBTensor(), 3)


class Means(FeatureExtractorBase):
    """The mean colours of images."""

    def __init__(self, name: str, features_list: list[str], **kwargs: object) -> None:
        super().__init__(name, features_list)
        self.given = kwargs

    get_provided_features_list = staticmethod(lambda: ("means", "squares"))
    can_be_compiled = staticmethod(lambda: False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = {"means": x.float().mean(dim=(2, 3)), "squares": x.float().square().mean(dim=(2, 3))}
        return tuple(found[name] for name in self.features_list)


class TestFeatures:
    @pytest.fixture(autouse=True)
    @staticmethod
    def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "means", Means)

    def test_of_a_dataset(self, capsys):
        made = utils.create_feature_extractor("means", ["squares", "means"], cuda=False, rng_seed=3, verbose=False)
        assert isinstance(made, Means) and made.given == {"rng_seed": 3, "verbose": False} and not made.training
        found = utils.get_featuresdict_from_dataset(Images(), made, 4, False, False, False)
        assert torch.equal(found["means"], Images().images.float().mean(dim=(2, 3)))
        assert list(found) == ["squares", "means"] and capsys.readouterr() == ("", "")

    def test_of_images_of_several_sizes(self, folder):
        """In the order of the files; torch-fidelity cannot collate them."""
        files = utils.glob_samples_paths(folder, True, "png,jpg,jpeg", verbose=False)
        made = utils.create_feature_extractor("means", ["means"], cuda=False, verbose=False)
        found = utils.get_featuresdict_from_dataset(datasets.ImagesPathDataset(files), made, 3, False, True, False)
        expected = [image.float().mean(dim=(1, 2)) for image in theirs(folder, samples_find_deep=True)]
        assert torch.allclose(found["means"], torch.stack(expected), rtol=1e-6)

    def test_errors(self):
        with pytest.raises(UsageError, match="unknown option 'rng_sed'"):
            utils.create_feature_extractor("means", ["means"], cuda=False, rng_sed=3)
        with pytest.raises(UsageError, match="sample similarity 'lpisp'"):
            utils.create_sample_similarity("lpisp", cuda=False)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
    def test_without_a_gpu(self, capsys):
        made = utils.create_feature_extractor("means", ["means"])
        utils.get_featuresdict_from_dataset(Images(2), made, 4, True, False, True)
        assert capsys.readouterr().err.count("note: no CUDA device was found; the CPU computes\n") == 2

    def test_similarities_are_given_their_options(self, monkeypatch, capsys):
        class Own(registry.SampleSimilarityBase):
            def __init__(self, name: str, sample_similarity_resize: int, **kwargs: object) -> None:
                super().__init__(name)
                self.given = (sample_similarity_resize, kwargs)

        monkeypatch.setitem(registry.SAMPLE_SIMILARITY_REGISTRY, "own", Own)
        made = utils.create_sample_similarity("own", cuda=False, sample_similarity_resize=32, ppl=True)
        assert made.given == (32, {"ppl": True})
        assert capsys.readouterr() == ("", "sample similarity 'own'\n")


class TestInputsById:
    """The functions that scripts call to have features once and metrics later."""

    @pytest.fixture(autouse=True)
    @staticmethod
    def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "means", Means)
        monkeypatch.setitem(registry.DATASETS_REGISTRY, "mine", lambda root, download: Images(5))

    SETTINGS: ClassVar[dict[str, Any]] = {"cuda": False, "verbose": False, "batch_size": 4}

    def made(self) -> FeatureExtractorBase:
        return utils.create_feature_extractor("means", ["means"], cuda=False, verbose=False)

    @pytest.mark.parametrize(
        "extract", [utils.extract_featuresdict_from_input_id, utils.extract_featuresdict_from_input_id_cached]
    )
    def test_of_a_folder(self, extract, folder):
        found = extract(2, self.made(), input2=str(folder), samples_find_deep=True, **self.SETTINGS)
        expected = [image.float().mean(dim=(1, 2)) for image in theirs(folder, samples_find_deep=True)]
        assert torch.allclose(found["means"], torch.stack(expected), rtol=1e-6)

    def test_of_datasets(self):
        expected = Images(5).images.float().mean(dim=(2, 3))
        for input_id, given in (("mine", {}), (1, {"input1": "mine"}), (1, {"input1": Images(5)})):
            found = utils.extract_featuresdict_from_input_id(input_id, self.made(), **given, **self.SETTINGS)
            assert torch.equal(found["means"], expected)

    def test_inputs(self, folder, tmp_path):
        opened = utils.prepare_input_from_id(1, input1=str(folder), samples_resize_and_crop=16)
        expected = theirs(folder, samples_resize_and_crop=16)
        assert isinstance(opened, Dataset) and equal([opened[i] for i in range(len(opened))], expected)
        assert equal(read(adapters.source_of(opened)), expected)
        given = Images()
        assert utils.prepare_input_from_id(2, input2=given) is given
        assert len(utils.prepare_input_from_id("mine")) == 5
        (folder / "b.png").write_bytes(b"broken")
        with pytest.raises(SourceError, match=r"b\.png"):
            [opened[i] for i in range(len(opened))]

    def test_names(self):
        name = utils.get_cacheable_input_name
        for arguments in (("mine", {}), (1, {"input1": "mine", "input1_cache_name": "x"})):
            assert name(arguments[0], **arguments[1]) == "mine"
        assert name(2, input2="folder", input2_cache_name="x") == "x" and name(1, input1="folder") is None

    def test_extractors_and_layers(self):
        assert utils.resolve_feature_extractor(fid=True, isc=True) == "inception-v3-compat"
        assert utils.resolve_feature_extractor(prc=True) == "vgg16"
        assert utils.resolve_feature_extractor(prc=True, fid=True, feature_extractor="means") == "means"
        assert utils.resolve_feature_layer_for_metric("isc", isc=True) == "logits_unbiased"
        assert utils.resolve_feature_layer_for_metric("fid", fid=True, feature_layer_fid="64") == "64"
        with pytest.raises(UsageError, match="the metrics are inception-v3-compat and vgg16; give feature_ext"):
            utils.resolve_feature_extractor(prc=True, fid=True)
        with pytest.raises(UsageError, match="no metric was asked for"):
            utils.resolve_feature_extractor()
        with pytest.raises(UnknownNameError, match="'mean' is not registered"):
            utils.resolve_feature_extractor(feature_extractor="mean")

    @pytest.mark.parametrize(
        ("input_id", "given", "message"),
        [
            (3, {}, "input 3: expected 1, 2 or the name of a registered dataset: 'cifar10-train'"),
            ("somewhere", {}, "input 'somewhere': expected 1, 2 or"),
            (1, {}, "input1 is missing; give"),
            (1, {"input1": "mine", "batchsize": 3}, "unknown option 'batchsize'"),
        ],
    )
    def test_errors(self, input_id, given, message):
        with pytest.raises(UsageError, match=message):
            utils.extract_featuresdict_from_input_id(input_id, self.made(), **given)
