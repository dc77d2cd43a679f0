"""Write the TensorFlow goldens of this folder; run by hand, in an environment of its own (see README.md).

Everything is a function of seeds, and ``numpy.random.RandomState`` is used because NumPy guarantees its
streams never to change. The tests make the inputs anew from the same formulas and hold none of this code.

* ``resize.npz``: what TensorFlow 1's bilinear resizing gives, as a sha256 of the output's bytes.
* ``classify_image_graph_def.pb.xz``: a GraphDef with the node names, ops and shapes of the official file
  of 2015-12-05, with weights that repeat a short random vector, so that it compresses.
* ``inception.npz``: what TensorFlow computes from that graph.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import zlib
from pathlib import Path

# Plain Eigen kernels: oneDNN's choice of blocking depends on the processor.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent

# (height, width) -> (height, width). Up and down, non-square, odd primes, sides of one pixel, identity.
RESIZES = [
    ((32, 32), (299, 299)),
    ((64, 64), (299, 299)),
    ((256, 256), (299, 299)),
    ((512, 512), (299, 299)),
    ((1024, 1024), (299, 299)),
    ((299, 299), (299, 299)),
    ((375, 500), (299, 299)),
    ((500, 333), (299, 299)),
    ((641, 127), (299, 299)),
    ((298, 300), (299, 299)),
    ((1, 7), (299, 299)),
    ((13, 1), (299, 299)),
    ((2, 3), (299, 299)),
    ((897, 1201), (299, 299)),
    ((299, 61), (299, 299)),
    ((32, 32), (224, 224)),
    ((375, 500), (224, 224)),
    ((257, 83), (160, 211)),
    ((101, 449), (331, 97)),
]
IMAGE_SIZES = [(64, 64), (131, 97), (299, 299), (375, 500)]
PRIMES = (499, 503, 509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601)
# Longer than the number of classes: with a shorter period two classes would have equal weights.
FC_PRIME = 1013


def random_image(seed: int, height: int, width: int) -> np.ndarray:
    """White noise, (h, w, 3) uint8."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def smooth_image(seed: int, height: int, width: int) -> np.ndarray:
    """Two triangle waves per channel and a little noise, (h, w, 3) uint8.

    Integers throughout, so that it is the same everywhere (sines differ by library in the last place).
    """
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    channels = []
    for _ in range(3):
        waves = []
        for _ in range(2):
            down, right = random.randint(-6, 7, 2)
            phase = random.randint(510)
            waves.append(np.abs((rows * down + columns * right + phase) % 510 - 255))
        noise = random.randint(-12, 13, (height, width))
        channels.append(np.clip((waves[0] + waves[1]) // 2 + noise, 0, 255))
    return np.stack(channels, axis=-1).astype(np.uint8)


def make_resize() -> None:
    """Write ``resize.npz``."""
    seeds = np.arange(len(RESIZES)) + 100
    hashes, samples = [], {}
    for index, ((source, target), seed) in enumerate(zip(RESIZES, seeds, strict=True)):
        image = random_image(int(seed), *source)
        resized = tf.compat.v1.image.resize_bilinear(
            image[None].astype(np.float32), list(target), align_corners=False, half_pixel_centers=False
        ).numpy()[0]
        assert resized.dtype == np.float32 and resized.shape == (*target, 3)
        hashes.append(hashlib.sha256(np.ascontiguousarray(resized).tobytes()).hexdigest())
        samples[f"sample_{index}"] = resized[::37, ::37]
    np.savez_compressed(
        HERE / "resize.npz",
        source=np.array([source for source, _ in RESIZES]),
        target=np.array([target for _, target in RESIZES]),
        seed=seeds,
        sha256=np.array(hashes),
        sample_stride=37,
        tensorflow=tf.__version__,
        **samples,
    )


def weight(name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """The weight of a node: a random vector of prime length, repeated until it fills ``shape``.

    Seed and length come from the node's name, so no two nodes hold the same and a mixed-up name shows. No
    prime divides a number of channels, so a transposed or reversed axis shows too.
    """
    seed = zlib.crc32(name.encode())
    random = np.random.RandomState(seed)
    prime = FC_PRIME if kind == "fc" else PRIMES[seed % len(PRIMES)]
    if kind in ("conv", "fc"):
        vector = random.randn(prime)
        vector -= vector.mean()
        fan_in = np.prod(shape[:-1])
        # He's scale, so that activations neither vanish nor explode over the depth.
        vector *= np.sqrt((2.0 if kind == "conv" else 1.0) / fan_in)
    elif kind == "positive":
        vector = random.uniform(0.5, 1.5, prime)
    else:
        vector = 0.1 * random.randn(prime)
    return np.resize(vector.astype(np.float32), shape)


class GraphBuilder:
    """A GraphDef in the making; each method adds nodes and returns the output's name."""

    def __init__(self) -> None:
        self.graph = tf.compat.v1.GraphDef()
        # The batch norm op of 2015 is refused in graphs of producers from version 9 on.
        self.graph.versions.producer = 8

    def node(self, name: str, op: str, inputs: list[str], **attributes: object) -> str:
        """Add one node; the type attribute ``T`` is float where ``attributes`` has none."""
        node = self.graph.node.add(name=name, op=op, input=inputs)
        if op not in ("Placeholder", "Const"):
            attributes.setdefault("T", tf.float32)
        for key, value in attributes.items():
            attribute = node.attr[key]
            if isinstance(value, tf.DType):
                attribute.type = value.as_datatype_enum
            elif isinstance(value, bool):
                attribute.b = value
            elif isinstance(value, int):
                attribute.i = value
            elif isinstance(value, float):
                attribute.f = value
            elif isinstance(value, str):
                attribute.s = value.encode()
            elif isinstance(value, list):
                attribute.list.i.extend(value)
            else:
                raise TypeError(f"{name}: {key}={value!r}")
        return name

    def const(self, name: str, value: np.ndarray) -> str:
        """A frozen array; those of more than one element are stored as ``tensor_content``."""
        node = self.graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        return name

    def conv(
        self,
        scope: str,
        source: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        padding: str = "SAME",
    ) -> str:
        """Convolution of ``shape`` (height, width, in, out), batch norm with global normalisation, ReLU."""
        params = f"{scope}/conv2d_params"
        self.const(params, weight(params, shape, "conv"))
        convolved = self.node(
            f"{scope}/Conv2D", "Conv2D", [source, params], strides=[1, stride, stride, 1], padding=padding
        )
        names = {}
        for field in ("beta", "gamma", "moving_mean", "moving_variance"):
            kind = "positive" if field in ("gamma", "moving_variance") else "around 0"
            names[field] = f"{scope}/batchnorm/{field}"
            self.const(names[field], weight(names[field], shape[-1:], kind))
        normalised = self.node(
            f"{scope}/batchnorm",
            "BatchNormWithGlobalNormalization",
            [convolved, names["moving_mean"], names["moving_variance"], names["beta"], names["gamma"]],
            variance_epsilon=0.001,
            scale_after_normalization=True,
        )
        return self.node(scope, "Relu", [normalised])

    def pool(self, name: str, op: str, source: str, size: int, *, stride: int, padding: str) -> str:
        """Max or average pooling; TensorFlow's average leaves the padding out of the count."""
        return self.node(name, op, [source], ksize=[1, size, size, 1], strides=[1, stride, stride, 1], padding=padding)

    def concat(self, name: str, sources: list[str]) -> str:
        """Concatenation along the channels."""
        axis = self.const(f"{name}/concat_dim", np.array(3, np.int32))
        return self.node(name, "Concat", [axis, *sources], N=len(sources))

    def tower(self, scope: str, source: str, channels: int, *layers: tuple) -> str:
        """Convolutions one after another, ``(kernel, out)`` or ``(kernel, out, stride, padding)`` each."""
        for index, (kernel, out, *rest) in enumerate(layers):
            stride, padding = rest or (1, "SAME")
            size = (kernel, kernel) if isinstance(kernel, int) else kernel
            name = f"{scope}/conv_{index}" if index else f"{scope}/conv"
            source = self.conv(name, source, (*size, channels, out), stride=stride, padding=padding)
            channels = out
        return source


def build_graph() -> tf.compat.v1.GraphDef:
    """The whole network, from raw images at ``ExpandDims`` to ``softmax``."""
    g = GraphBuilder()
    # In the official graph this is an op behind a JPEG decoder; everyone feeds it as if a placeholder.
    x = g.node("ExpandDims", "Placeholder", [], dtype=tf.float32)
    size = g.const("ResizeBilinear/size", np.array([299, 299], np.int32))
    x = g.node("ResizeBilinear", "ResizeBilinear", [x, size], align_corners=False)
    x = g.node("Sub", "Sub", [x, g.const("Sub/y", np.array(128, np.float32))])
    x = g.node("Mul", "Mul", [x, g.const("Mul/y", np.array(1 / 128, np.float32))])

    x = g.conv("conv", x, (3, 3, 3, 32), stride=2, padding="VALID")
    x = g.conv("conv_1", x, (3, 3, 32, 32), stride=1, padding="VALID")
    x = g.conv("conv_2", x, (3, 3, 32, 64), stride=1, padding="SAME")
    x = g.pool("pool", "MaxPool", x, 3, stride=2, padding="VALID")
    x = g.conv("conv_3", x, (1, 1, 64, 80), stride=1, padding="VALID")
    x = g.conv("conv_4", x, (3, 3, 80, 192), stride=1, padding="VALID")
    x = g.pool("pool_1", "MaxPool", x, 3, stride=2, padding="VALID")

    channels = 192
    for name, pooled in (("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)):
        branches = [
            g.tower(name, x, channels, (1, 64)),
            g.tower(f"{name}/tower", x, channels, (1, 48), (5, 64)),
            g.tower(f"{name}/tower_1", x, channels, (1, 64), (3, 96), (3, 96)),
        ]
        pool = g.pool(f"{name}/tower_2/pool", "AvgPool", x, 3, stride=1, padding="SAME")
        x = g.concat(f"{name}/join", [*branches, g.tower(f"{name}/tower_2", pool, channels, (1, pooled))])
        channels = 64 + 64 + 96 + pooled

    branches = [
        g.tower("mixed_3", x, channels, (3, 384, 2, "VALID")),
        g.tower("mixed_3/tower", x, channels, (1, 64), (3, 96), (3, 96, 2, "VALID")),
    ]
    x = g.concat("mixed_3/join", [*branches, g.pool("mixed_3/pool", "MaxPool", x, 3, stride=2, padding="VALID")])

    row, column = (1, 7), (7, 1)
    for name, width in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        long = ((1, width), (column, width), (row, width), (column, width), (row, 192))
        branches = [
            g.tower(name, x, 768, (1, 192)),
            g.tower(f"{name}/tower", x, 768, (1, width), (row, width), (column, 192)),
            g.tower(f"{name}/tower_1", x, 768, *long),
        ]
        pool = g.pool(f"{name}/tower_2/pool", "AvgPool", x, 3, stride=1, padding="SAME")
        x = g.concat(f"{name}/join", [*branches, g.tower(f"{name}/tower_2", pool, 768, (1, 192))])

    branches = [
        g.tower("mixed_8/tower", x, 768, (1, 192), (3, 320, 2, "VALID")),
        g.tower("mixed_8/tower_1", x, 768, (1, 192), (row, 192), (column, 192), (3, 192, 2, "VALID")),
    ]
    x = g.concat("mixed_8/join", [*branches, g.pool("mixed_8/pool", "MaxPool", x, 3, stride=2, padding="VALID")])

    channels = 1280
    for name, pooling in (("mixed_9", "AvgPool"), ("mixed_10", "MaxPool")):
        branches = [g.tower(name, x, channels, (1, 320))]
        for tower, layers in (("tower", [(1, 384)]), ("tower_1", [(1, 448), (3, 384)])):
            trunk = g.tower(f"{name}/{tower}", x, channels, *layers)
            ends = [
                g.conv(f"{name}/{tower}/mixed/conv", trunk, (1, 3, 384, 384)),
                g.conv(f"{name}/{tower}/mixed/conv_1", trunk, (3, 1, 384, 384)),
            ]
            branches.append(g.concat(f"{name}/{tower}/mixed", ends))
        pool = g.pool(f"{name}/tower_2/pool", pooling, x, 3, stride=1, padding="SAME")
        x = g.concat(f"{name}/join", [*branches, g.tower(f"{name}/tower_2", pool, channels, (1, 192))])
        channels = 2048

    x = g.pool("pool_3", "AvgPool", x, 8, stride=1, padding="VALID")
    shape = g.const("pool_3/_reshape/shape", np.array([-1, 2048], np.int32))
    x = g.node("pool_3/_reshape", "Reshape", [x, shape], Tshape=tf.int32)
    g.const("softmax/weights", weight("softmax/weights", (2048, 1008), "fc"))
    g.const("softmax/biases", weight("softmax/biases", (1008,), "around 0"))
    x = g.node("softmax/logits/MatMul", "MatMul", [x, "softmax/weights"])
    x = g.node("softmax/logits", "BiasAdd", [x, "softmax/biases"])
    g.node("softmax", "Softmax", [x])
    return g.graph


def make_inception() -> None:
    """Write ``classify_image_graph_def.pb.xz`` and ``inception.npz``."""
    graph_def = build_graph()
    data = graph_def.SerializeToString(deterministic=True)
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    (HERE / "classify_image_graph_def.pb.xz").write_bytes(packed)
    print(f"GraphDef: {len(data)} bytes, packed {len(packed)}")

    outputs = {
        "64": "pool:0",
        "192": "pool_1:0",
        "768": "mixed_7/join:0",
        "2048": "pool_3:0",
        "logits_unbiased": "softmax/logits/MatMul:0",
        "logits": "softmax/logits:0",
    }
    seeds = np.arange(len(IMAGE_SIZES)) + 200
    rows: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
    with tf.Graph().as_default():
        # From the bytes, as anyone would load the official file.
        loaded = tf.compat.v1.GraphDef()
        loaded.ParseFromString(lzma.decompress(packed))
        tf.compat.v1.import_graph_def(loaded, name="")
        with tf.compat.v1.Session() as session:
            for seed, size in zip(seeds, IMAGE_SIZES, strict=True):
                image = smooth_image(int(seed), *size)[None].astype(np.float32)
                for name, value in session.run(outputs, {"ExpandDims:0": image}).items():
                    mean = value.mean(axis=(1, 2), dtype=np.float64) if value.ndim == 4 else value
                    rows[name].append(mean.astype(np.float32)[0])
    arrays = {name: np.stack(values) for name, values in rows.items()}
    for name, array in arrays.items():
        apart = np.abs(array - array.mean(axis=0)).mean()
        print(f"{name}: mean {array.mean():.4f} std {array.std():.4f} apart {apart:.4f}")
    np.savez_compressed(
        HERE / "inception.npz", size=np.array(IMAGE_SIZES), seed=seeds, tensorflow=tf.__version__, **arrays
    )


if __name__ == "__main__":
    make_resize()
    make_inception()
