"""What the metrics are called and what their numbers mean, in words for people who did not choose them."""

from __future__ import annotations

from dataclasses import dataclass

from genmetrics.types import MetricInfo

__all__ = ["FAMILIES", "Family", "direction", "family_of", "meaning", "sentence", "title"]


@dataclass(frozen=True)
class Family:
    """Metrics whose numbers mean the same on any network.

    Attributes:
        title: what they are called.
        meaning: what the number says, in a sentence or two.
        ids: of the metrics, without the network behind them.
    """

    title: str
    meaning: str
    ids: tuple[str, ...]

    @property
    def is_frechet(self) -> bool:
        """Whether the number falls with more images, as that of a mean and covariance does."""
        return self.title.startswith("Fréchet distance")


_FRECHET = (
    "The distance between the two sets as clouds of features, taken as Gaussians with their means and covariances. "
    "0 for equal clouds, without an upper end; the fewer images, the larger it comes out."
)

FAMILIES = (
    Family(
        "Fréchet distance",
        _FRECHET,
        (
            *("fid", "fid_64", "fid_192", "fid_768", "fid_pytorch", "fid_pytorch_64", "fid_pytorch_192"),
            *("fid_pytorch_768", "sfid", "fid_clean", "clip_fid", "fd", "fd_dinov2", "fd_dinov2_edm2"),
            "fd_dinov2_tf1",
        ),
    ),
    Family(
        "Fréchet distance, image by image",
        "The Fréchet distance, and by how much each generated image raises it: which images, and which classes, are "
        "behind it.",
        ("fid_influence", "fd_influence"),
    ),
    Family(
        "Fréchet distance of infinitely many images",
        "The Fréchet distance that infinitely many generated images would have, by a line through those of fewer. 0 "
        "for equal clouds of features.",
        ("fid_inf", "fd_inf"),
    ),
    Family(
        "Fréchet distance within classes",
        "The Fréchet distance of each class by itself, on average over the classes; it sees whether the images of a "
        "class are right, not only those of the whole set.",
        ("intra_fid", "intra_fd"),
    ),
    Family(
        "Fréchet distance ratio",
        "How many times as far the generated set is from the reference as two halves of the reference are from each "
        "other; 1 is as good as the reference itself.",
        ("fdr",),
    ),
    Family(
        "Kernel distance",
        "Whether images of one set are more like each other than like those of the other set, by a kernel on their "
        "features. 0 for equal sets on average, whatever the number of images, so that it may come out just below 0.",
        ("kid", "kid_clean", "kid_full"),
    ),
    Family(
        "CMMD",
        "Whether images of one set are more like each other than like those of the other set, by a Gaussian kernel on "
        "CLIP embeddings, times 1,000. 0 for equal sets.",
        ("cmmd", "cmmd_fast"),
    ),
    Family(
        "Sliced distance",
        "How far the features of one set must be moved to become those of the other, on average over many directions. "
        "0 for equal sets; unlike a Fréchet distance it takes the sets for no Gaussians.",
        ("mind", "mind_quantile", "sliced_wasserstein"),
    ),
    Family(
        "Precision and recall",
        "Precision, the main figure, is the part of the generated images that lie where the reference lies: are they "
        "realistic. Recall is the part of the reference that lies where generated images lie: is anything missing.",
        ("prc", "prc_adm", "prc_dinov2"),
    ),
    Family(
        "Density and coverage",
        "Density, the main figure, counts how many reference neighbourhoods a generated image lies in: about 1 for "
        "images like the reference. Coverage is the part of the reference that has a generated image near it.",
        ("prdc", "prdc_dinov2", "clipped_dc"),
    ),
    Family(
        "Realism",
        "How near each generated image is to the reference, in units of the distances within the reference, on "
        "average; an image above 1 lies inside it.",
        ("realism",),
    ),
    Family(
        "AuthPct",
        "The percentage of generated images that are further from their nearest reference image than that one is from "
        "its own nearest; low numbers speak of copies.",
        ("authpct",),
    ),
    Family(
        "Distance to the nearest reference image",
        "How far generated images are from the nearest reference image, on average; distances near 0 are copies.",
        ("nearest",),
    ),
    Family(
        "Memorisation-informed FID",
        "The Fréchet distance with a penalty for generated images that are copies of reference images. 0 is best.",
        ("mifid", "mifid_torchmetrics"),
    ),
    Family(
        "Inception Score",
        "Whether a classifier is sure of each image and names many classes over all of them: 1 at least, the number of "
        "classes at most. It looks at no reference.",
        ("isc", "isc_adm", "isc_inf"),
    ),
    Family(
        "Number of unlike images",
        "How many entirely different images the set amounts to. It looks at no reference, and says nothing of quality.",
        ("vendi", "rke"),
    ),
    Family(
        "Perceptual path length",
        "How much the image changes with a small step in the generator's latent space; smoother generators have less.",
        ("ppl", "ppl_torch_fidelity"),
    ),
    Family(
        "Similarity of pairs",
        "How alike two generated images are, on average over random pairs: high numbers speak of a set that repeats "
        "itself.",
        ("ms_ssim", "ms_ssim_class"),
    ),
    Family(
        "Perceptual distance of pairs",
        "How unlike two generated images are, on average over random pairs: low numbers speak of a set that repeats "
        "itself.",
        ("lpips", "lpips_class"),
    ),
    Family(
        "CLIP score",
        "How well images fit their captions, by the angle between their CLIP embeddings.",
        ("clip_score", "clip_score_100"),
    ),
)

_BY_ID = {name: family for family in FAMILIES for name in family.ids}


def family_of(metric: str) -> Family | None:
    """The family of a metric as results name it, with another network or a crop behind its id; None if unknown."""
    return _BY_ID.get(metric) or _BY_ID.get(metric.partition(".")[0])


def title(metric: str, info: MetricInfo | None) -> str:
    """What a metric is called in full; with another network than its own, by its family and the network."""
    if info is not None and info.id == metric:
        return info.summary
    base, _, network = metric.partition(".")
    family = family_of(metric)
    name = family.title if family else base if info is None else info.summary
    return f"{name}, on {network}" if network else name


def meaning(metric: str, info: MetricInfo | None) -> str:
    """What its number says."""
    family = family_of(metric)
    if family is not None:
        return family.meaning
    return "This version knows nothing of this metric." if info is None else f"{info.summary}."


def direction(info: MetricInfo | None) -> str:
    """Which way is better, in words."""
    if info is None:
        return "not known which way is better"
    return "higher is better" if info.higher_is_better else "lower is better"


def sentence(text: str) -> str:
    """A text with a capital letter at its beginning and a full stop behind it."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
