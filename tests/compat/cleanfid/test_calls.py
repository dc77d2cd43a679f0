"""Every way to call ``compute_fid`` and ``compute_kid``, against clean-fid 0.1.35 on a small network of 16 features.

The images outnumber the features, so that clean-fid's ``sqrtm`` is exact. Tolerance: 2e-6 relative, which is that of
its float32 means; reached: 3e-7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genmetrics.compat.cleanfid import fid
from genmetrics.errors import UsageError
from support.clean_fid import CPU, MODES, Painter, crop, halve, their_warnings

RELATIVE = 2e-6


class Both:
    """Calls a function of clean-fid's and ours with the same arguments, on the small network, with the same seeds."""

    def __init__(self, network: Callable[[Tensor], Tensor], capsys: pytest.CaptureFixture[str]) -> None:
        self.network, self.capsys = network, capsys

    def compute_fid(self, *args: object, **options: object) -> tuple[float, float]:
        options = {"custom_feat_extractor": self.network, "num_workers": 0, "batch_size": 8, "device": CPU, **options}
        found, printed = [], []
        for function in (fid.compute_fid, __import__("cleanfid.fid").fid.compute_fid):
            torch.manual_seed(3)
            self.capsys.readouterr()
            with their_warnings():
                found.append(float(function(*args, **options)))
            printed.append(self.capsys.readouterr().out)
        assert printed[0] == printed[1]
        print(found, abs(found[0] - found[1]) / abs(found[1]))
        return found[0], found[1]


@pytest.fixture
def both(small_network, capsys) -> Both:
    return Both(small_network, capsys)


def agree(found: tuple[float, float]) -> None:
    assert found[0] == pytest.approx(found[1], rel=RELATIVE)


@pytest.mark.parametrize("mode", MODES)
class TestPairs:
    """Folder or generator, against a folder or a known set."""

    def test_folders(self, both, folders, mode):
        found = both.compute_fid(str(folders[0]), str(folders[1]), mode=mode)
        agree(found)
        # Negative control: in the other direction the same, against another folder not.
        assert fid.compute_fid(
            folders[1],
            folders[0],
            mode=mode,
            custom_feat_extractor=both.network,
            batch_size=8,
            num_workers=0,
            device="cpu",
            verbose=False,
        ) == pytest.approx(found[0], rel=1e-9)
        other = fid.compute_fid(
            folders[1], folders[1], mode=mode, custom_feat_extractor=both.network, device="cpu", verbose=False
        )
        assert abs(other) < 1e-6 < found[0]

    def test_folder_and_known_set(self, both, folders, custom_set, mode):
        options = {"dataset_name": custom_set, "dataset_split": "custom", "mode": mode}
        agree(both.compute_fid(str(folders[0]), **options))

    @pytest.mark.parametrize("rounded", [False, True], ids=["floats", "uint8"])
    def test_generator_and_folder(self, both, folders, mode, rounded):
        options = {"gen": Painter(rounded), "z_dim": 8, "num_gen": 27, "mode": mode}
        # Where clean-fid does not resize, it gives uint8 images as such; ours gives a network float32 always.
        options["custom_feat_extractor"] = lambda images: both.network(images.float())
        agree(both.compute_fid(fdir2=str(folders[1]), **options))

    def test_generator_and_known_set(self, both, custom_set, mode):
        options = {"dataset_name": custom_set, "dataset_split": "custom", "mode": mode}
        agree(both.compute_fid(gen=Painter(), z_dim=8, num_gen=32, **options))


class TestFunctions:
    """The misspelt keyword is clean-fid's."""

    @pytest.mark.parametrize("mode", MODES)
    def test_transform(self, both, folders, mode):
        agree(both.compute_fid(str(folders[0]), str(folders[1]), custom_image_tranform=crop, mode=mode))

    def test_resize(self, both, folders):
        found = both.compute_fid(str(folders[0]), str(folders[1]), custom_fn_resize=halve)
        agree(found)
        plain = fid.compute_fid(*folders, custom_feat_extractor=both.network, device="cpu", verbose=False)
        assert plain != pytest.approx(found[0], rel=1e-3)

    def test_both(self, both, folders):
        options = {"custom_image_tranform": crop, "custom_fn_resize": halve}
        agree(both.compute_fid(str(folders[0]), str(folders[1]), **options))

    def test_of_a_generator(self, both, folders):
        # Of a generator's images clean-fid gives its network what comes of the functions, uint8 as well.
        options = {"custom_fn_resize": lambda image: halve(image).astype(np.float32), "z_dim": 8, "num_gen": 24}
        options["custom_image_tranform"] = crop
        agree(both.compute_fid(fdir2=str(folders[1]), gen=Painter(rounded=True), **options))

    def test_of_a_generator_in_the_mode_that_ignores_them_in_clean_fid(self, folders, small_network):
        """There the generator's images stayed as they are, and the folder's did not."""
        options = {
            "fdir2": folders[1],
            "gen": Painter(),
            "z_dim": 8,
            "num_gen": 24,
            "mode": "legacy_tensorflow",
            "custom_feat_extractor": small_network,
            "device": "cpu",
            "verbose": False,
        }
        found = []
        for transform in (None, crop):
            torch.manual_seed(0)
            found.append(fid.compute_fid(custom_image_tranform=transform, **options))
        assert found[0] != pytest.approx(found[1], rel=1e-3)

    # Newer Pythons warn of every fork beside threads.
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_in_processes_of_their_own(self, folders, small_network):
        options = {"custom_feat_extractor": small_network, "device": "cpu", "custom_image_tranform": lambda x: x[:40]}
        numbers = [fid.compute_fid(*folders, num_workers=count, verbose=False, **options) for count in (0, 2)]
        assert numbers[0] == numbers[1]

    def test_the_right_spelling_is_not_known(self, folders):
        with pytest.raises(TypeError, match="custom_image_transform"):
            fid.compute_fid(*folders, custom_image_transform=crop)

    @pytest.mark.parametrize("name", ["custom_image_tranform", "custom_fn_resize"])
    def test_what_gives_no_image(self, folders, small_network, name):
        options = {name: Image.fromarray, "custom_feat_extractor": small_network, "device": "cpu"}
        shown = name if name == "custom_image_tranform" else "fn_resize"
        with pytest.raises(UsageError, match=rf"{shown} gave Image; expected an array \(h, w, 3\)"):
            fid.compute_fid(*folders, num_workers=0, verbose=False, **options)

    def test_what_gives_no_features(self, folders):
        with pytest.raises(UsageError, match=r"shape \(8, 3, 299, 299\) for 8 images; expected a tensor \(n, d\)"):
            fid.compute_fid(
                *folders, custom_feat_extractor=lambda x: x, batch_size=8, num_workers=0, device="cpu", verbose=False
            )
