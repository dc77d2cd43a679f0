"""Results with all that a page can show, made up: seeded, of any number of pictures, classes and dimensions."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from genmetrics.report.diagnostics import Cloud, Curve, Diagnostics, Gallery, Picture, Projection, Spectra
from support.results import FID, ISC, KID, result

__all__ = ["HOSTILE", "PRC", "diagnostics", "full_result", "thumbnail"]

PRC = "inception-v3.tf2015/2048/tf1-bilinear-299/k3-inclusive"

#: Names that a page must show as text.
HOSTILE = (
    "<script>document.title='taken'</script>",
    '"onerror="document.title=1" x="',
    "</style></svg></title><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "שלום עולם\u202edesrever",
    "a" * 400,
    "😀🎉 𝔘𝔫𝔦",
)


def thumbnail(seed: int, side: int = 64, *, noise: bool = False) -> str:
    """The ``data:`` address of a JPEG: waves on a colour, or noise, which no JPEG makes small."""
    rng = np.random.default_rng(seed)
    if noise:
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    else:
        rows, columns = np.mgrid[:side, :side] / side
        waves = [
            128 + 100 * np.sin(rows * rng.uniform(2, 20) + columns * rng.uniform(2, 20) + rng.uniform(0, 6))
            for _ in range(3)
        ]
        pixels = np.stack(waves, -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def diagnostics(
    *,
    pictures: int = 6,
    classes: int = 8,
    ranks: int = 200,
    points: int = 120,
    names: Sequence[str] = (),
    images: Sequence[str] = (),
    seed: int = 0,
    metric: str = "fid",
    features: str = FID,
) -> Diagnostics:
    """All sections of a page.

    Args:
        pictures: in each gallery.
        classes: how many.
        ranks: of the eigenvalues, from 1.
        points: of each set.
        names: of pictures and classes, in turn; made up where there are none.
        images: ``data:`` addresses, in turn; made up where there are none.
        seed: of all of it.
        metric: the distance.
        features: its protocol.
    """
    rng = np.random.default_rng(seed)
    images = images or [thumbnail(100 * seed + number) for number in range(8)]

    def name(number: int, kind: str) -> str:
        return names[number % len(names)] if names else f"{kind}-{number:04d}"

    def picture(number: int, figure: str, value: float, *, paired: bool = False) -> Picture:
        nearest = Picture(
            number + 7, name(number + 1, "real/b"), None, {}, images[(number + 3) % len(images)], (64, 64)
        )
        return Picture(
            number,
            name(number, "gen/a"),
            name(number, "class"),
            {figure: value},
            images[number % len(images)],
            (256, 192),
            nearest if paired else None,
        )

    def gallery(figure: str, values: np.ndarray, *, paired: bool = False) -> Gallery:
        return Gallery(tuple(picture(at, figure, float(v), paired=paired) for at, v in enumerate(values)), 1000)

    sizes = np.geomspace(100, 1000, 8).astype(int)
    curve = 9 + 4000 / sizes
    rank = np.arange(1, ranks + 1)
    influence = rng.normal(0, 1, classes)
    influence -= influence.mean()
    spread = rng.multivariate_normal((0, 0), [[9, 0], [0, 5]], points)
    gen = rng.multivariate_normal((1.5, -0.8), [[7, 1.5], [1.5, 3]], points)
    return Diagnostics(
        metric,
        features,
        Curve(
            tuple(map(int, sizes)),
            tuple(map(float, curve)),
            tuple(map(float, curve * 0.97)),
            tuple(map(float, curve * 1.03)),
            9.0,
            4000.0,
            8.2,
            9.8,
        ),
        Spectra(tuple(map(int, rank)), tuple((11 / rank**1.25).tolist()), tuple((10 / rank).tolist())),
        Projection(
            Cloud(tuple(map(tuple, gen.tolist())), (1.5, -0.8), (7.0, 1.5, 3.0)),
            Cloud(tuple(map(tuple, spread.tolist())), (0.0, 0.0), (9.0, 0.0, 5.0)),
            (0.12, 0.07),
        ),
        {
            "class": [name(number, "class") + ("" if not names else f" {number}") for number in range(classes)],
            "num_gen": [1000 // max(classes, 1)] * classes,
            "influence": influence.tolist(),
            "mean_influence": (influence / 100).tolist(),
        },
        gallery("influence", np.linspace(0.4, 0.1, pictures)),
        gallery("realism", np.linspace(0.3, 0.6, pictures)),
        gallery("distance", np.linspace(3.0, 2.0, pictures)),
        gallery("distance", np.linspace(0.01, 0.2, pictures), paired=True),
    )


def full_result(name: str = "model", *, fid: float = 12.34, diagnosed: bool = True, **of: Any) -> dict[str, Any]:
    """A result as its JSON has it, with error bars, advice, a command and, unless told not to, diagnostics.

    Args:
        name: of the model.
        fid: its value.
        diagnosed: whether there are diagnostics.
        of: see ``diagnostics``.
    """
    made = result(
        name,
        fid={"value": fid, "debiased": fid - 3, "se": 0.21, "ci95_low": fid - 3.4, "ci95_high": fid - 2.6},
        kid={"value": 0.0042, "std": 0.001, "se": 0.0003, "ci95_low": 0.0036, "ci95_high": 0.0048, "protocol": KID},
        isc={"value": 8.1, "std": 0.3, "se": 0.1, "ci95_low": 7.9, "ci95_high": 8.3, "protocol": ISC},
        prc={"value": 0.81, "precision": 0.81, "recall": 0.44, "f_score": 0.57, "protocol": PRC},
    )
    made["metrics"]["fid"]["warnings"] = ["few images: 1000 generated"]
    made["advice"] = ["gen are PNG and ref are JPEG files; save both alike"]
    made["command"] = f"genmetrics eval 'samples/{name}' --ref real/ -m fid,kid,isc,prc"
    sizes = {"bins": [[32, 1000, 65536000]], "smallest": [256, 256], "largest": [256, 256]}
    made["gen"] |= {"formats": {"PNG": 1000}, "sizes": sizes}
    if diagnosed:
        made["diagnostics"] = diagnostics(**of).to_dict()
    return made
