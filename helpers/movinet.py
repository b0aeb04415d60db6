"""MoViNet-A0, a small network trained on 600 actions. Taught in *Start from a trained network*.

MoViNets (Kondratyuk et al. 2021) are (2+1)D networks for phones. A0-Stream is the smallest: it
looks at a frame and at earlier ones only, so it can follow a camera.
"""

import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tflite
from keras import KerasTensor

from helpers.layers import DepthwiseVideoConv, FramePooling, Gain, VideoConv

# The official file with the weights as 8-bit integers.
SHA256 = "6125b36e2485eeb5cc1fd6206cf5e5d70235593fbc84610d1dce97fe3aa9c2ac"


class Block(NamedTuple):
    """A block of MoViNet-A0: layers with the same number of output channels, `filters`.

    By layer, `expansions` are the channels between its 1 × 1 × 1 convolutions, and `kernels` the
    `(time, height, width)` of its depthwise ones; a time of 1 means no temporal convolution. The
    first layer has `strides` over height and width, and its shortcut `projects` if it has a
    pooling and a convolution.
    """

    filters: int
    expansions: tuple[int, ...]
    kernels: tuple[tuple[int, int, int], ...]
    strides: int
    projects: bool = True


_3, _5, _FLAT = (3, 3, 3), (5, 3, 3), (1, 5, 5)
BLOCKS = (
    Block(8, (24,), (_FLAT,), 2),
    Block(32, (80, 80, 80), (_3, _3, _3), 2),
    Block(56, (184, 112, 184), (_5, _3, _3), 2),
    Block(56, (184, 184, 184, 184), (_5, _3, _3, _3), 1, projects=False),
    Block(104, (384, 280, 280, 344), (_5, _FLAT, _FLAT, _FLAT), 2),
)


_WITH_WEIGHTS = (
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.MUL,
)
_DTYPES = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}


def build_movinet_a0(
    num_classes: int = 600, n_frames: int | None = None, height: int = 172, width: int = 172
) -> keras.Model:
    """Build MoViNet-A0-Stream (Kondratyuk et al. 2021), with its batch normalisations folded in.

    Args:
        num_classes: Number of logits; the published weights have Kinetics' 600 classes.
        n_frames: Frames per clip; None accepts clips of any length. The published weights expect 5
            frames per second.
        height: Height of a frame in pixels; the published weights expect 172.
        width: Width of a frame in pixels, likewise.

    Returns:
        A network from uint8 `(batch, n_frames, height, width, 3)` to float32 logits
        `(batch, num_classes)`. Its layer `average` returns 480 features, the means over space and
        time, and its layer `hidden` 2048.
    """
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = VideoConv(8, (1, 3, 3), strides=(1, 2, 2), padding="same", activation="relu6", name="stem")(
        x
    )
    for number, block in enumerate(BLOCKS, start=1):
        for layer, sizes in enumerate(zip(block.expansions, block.kernels), start=1):
            first: dict[str, Any] = (
                {"strides": block.strides, "projects": block.projects} if layer == 1 else {}
            )
            x = _add_layer(x, block.filters, *sizes, name=f"block{number}_layer{layer}", **first)
    x = VideoConv(480, 1, activation="relu6", name="features")(x)
    x = keras.layers.GlobalAveragePooling3D(name="average")(x)
    x = keras.layers.Dense(2048, activation="relu6", name="hidden")(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="movinet_a0")


def _add_layer(
    input: KerasTensor,
    filters: int,
    expansion: int,
    kernel: tuple[int, int, int],
    *,
    name: str,
    strides: int = 1,
    projects: bool = False,
) -> KerasTensor:
    """Add an inverted bottleneck (Sandler et al. 2018) with a (2+1)D depthwise convolution."""
    time, *area = kernel
    x = VideoConv(expansion, 1, activation="relu6", name=f"{name}_expand")(input)
    options: dict[str, Any] = {"activation": "relu6"}
    x = DepthwiseVideoConv((1, *area), strides, name=f"{name}_spatial", **options)(x)
    if time > 1:
        x = DepthwiseVideoConv((time, 1, 1), name=f"{name}_temporal", **options)(x)
    x = VideoConv(filters, 1, name=f"{name}_project")(x)
    x = Gain(name=f"{name}_gain")(x)
    shortcut = input
    if projects:
        shortcut = FramePooling(name=f"{name}_pool")(input)
        shortcut = VideoConv(filters, 1, name=f"{name}_shortcut")(shortcut)
    return keras.layers.add([x, shortcut], name=f"{name}_add")


def load_weights(
    model: keras.Model, source: str | os.PathLike[str], *, include_top: bool = True
) -> keras.Model:
    """Load the published weights, from the official TFLite file with 8-bit integers.

    Args:
        model: A network from `build_movinet_a0`.
        source: Path of the file; `helpers.pretrained.fetch_published` gets it.
        include_top: Whether to load the logits, too. If not, that layer stays as it is, and the
            network may have another number of classes.

    Returns:
        The same network.

    Raises:
        ValueError: The file is missing, cut short, damaged or another one, or the network is
            another one.
    """
    weights = _read_weights(_read_file(pathlib.Path(source)))
    if model.name != "movinet_a0":
        raise ValueError(f"{model.name} is not MoViNet-A0; build it with build_movinet_a0.")
    if not include_top:
        del weights["logits"]
    elif (classes := model.output_shape[-1]) != len(weights["logits"][-1]):
        raise ValueError(
            f"The network has {classes} classes, but the weights in {source} have "
            f"{len(weights['logits'][-1])}; pass include_top=False to leave its logits as they are."
        )
    for name, values in weights.items():
        layer = model.get_layer(name)
        layer.set_weights(
            [np.reshape(value, variable.shape) for value, variable in zip(values, layer.weights)]
        )
    return model


def _read_file(path):
    """Return the content of the official file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror or error}); set MOVINET_A0_WEIGHTS to the path "
            "of the TFLite file of MoViNet-A0-Stream with 8-bit integers."
        ) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(
            f"{path} is cut short, damaged, or not the official TFLite file of MoViNet-A0-Stream "
            f"with 8-bit integers (its SHA-256 is not {SHA256[:8]}...); download that again."
        )
    return content


def _read_weights(content):
    """Return by layer the weights in a TFLite file, as floats."""
    graph = _Graph(content)
    operations = graph.operations_with_weights(graph.logits)
    return dict(zip(_layer_names(), map(graph.weights, operations), strict=True))


def _layer_names() -> Iterator[str]:
    """Iterate over the names of the layers with weights, in the order of the computation."""
    yield "stem"
    for number, block in enumerate(BLOCKS, start=1):
        for layer, (time, _, _) in enumerate(block.kernels, start=1):
            parts = ["expand", "spatial", "temporal", "project", "gain", "shortcut"]
            if time == 1:
                parts.remove("temporal")
            if layer > 1 or not block.projects:
                parts.remove("shortcut")
            yield from (f"block{number}_layer{layer}_{part}" for part in parts)
    yield from ("features", "hidden", "logits")


class _Graph:
    """The operations of a TFLite file, and its tensors.

    The operations are found by following inputs, because their order in the file is another one.
    """

    def __init__(self, content):
        self.model = tflite.Model.GetRootAs(content, 0)
        self.graph = self.model.Subgraphs(0)
        operations = map(self.graph.Operators, range(self.graph.OperatorsLength()))
        self.producers = {
            int(output): operation
            for operation in operations
            for output in operation.OutputsAsNumpy()
        }
        signature = self.model.SignatureDefs(0)
        outputs = map(signature.Outputs, range(signature.OutputsLength()))
        self.logits = next(o.TensorIndex() for o in outputs if o.Name() == b"logits")

    def kind(self, operation):
        """Return the kind of an operation, a member of `tflite.BuiltinOperator`."""
        return self.model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode()

    def operations_with_weights(self, tensor):
        """Iterate over what a tensor is computed with: convolutions and multiplications by a gain.

        Args:
            tensor: Index of the tensor.
        """
        # Each operation counts once, so it is removed when it is found.
        operation = self.producers.pop(tensor, None)
        if operation is None:  # an input, a state, a constant, or one found before
            return
        has_weights = self.kind(operation) in _WITH_WEIGHTS and not self._is_mean(operation)
        for input in operation.InputsAsNumpy():
            yield from self.operations_with_weights(int(input))
        if has_weights:
            yield operation

    def _is_mean(self, operation):
        """Return whether an operation divides a sum by the number of its terms."""
        producer = self.producers.get(int(operation.Inputs(0)))
        return producer is not None and self.kind(producer) == tflite.BuiltinOperator.SUM

    def weights(self, operation):
        """Return the kernel, in the order `(height, width, in, out)`, and the bias; or the gain."""
        kernel, *bias = map(self._floats, operation.InputsAsNumpy()[1:].tolist())
        if self.kind(operation) == tflite.BuiltinOperator.MUL:
            return [kernel.flat[0]]
        if self.kind(operation) == tflite.BuiltinOperator.CONV_2D:
            kernel = np.moveaxis(kernel, 0, -1)
        return [kernel, *bias]

    def _floats(self, tensor):
        """Return the values of a constant tensor: (integer - zero point) × scale, by channel."""
        tensor = self.graph.Tensors(tensor)
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        integers = data.view(_DTYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
        quantization = tensor.Quantization()
        shape = np.ones(integers.ndim, int)
        shape[quantization.QuantizedDimension()] = quantization.ScaleLength()
        zero, scale = quantization.ZeroPointAsNumpy(), quantization.ScaleAsNumpy()
        return ((integers - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)
