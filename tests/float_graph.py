"""Run MoViNet's TFLite file of 8-bit integers in floats, operation by operation, in file order.

The weights are turned back into floats, and nothing is rounded in between. Nothing here comes from
the helpers, so the results tell whether they read the file as TensorFlow Lite means it.
"""

import numpy as np
import tensorflow as tf
import tflite


def names(enumeration):
    """Return the names of an enumeration's members by their values."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


KINDS, OPTIONS = names(tflite.BuiltinOperator), names(tflite.BuiltinOptions)
ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: tf.identity,
    tflite.ActivationFunctionType.RELU6: tf.nn.relu6,
}
PADDINGS = {tflite.Padding.SAME: "SAME", tflite.Padding.VALID: "VALID"}
NUMBERS = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}


class FloatGraph:
    """A network that sees a video frame by frame, and hands its states to the next frame."""

    def __init__(self, path):
        self.model = tflite.Model.GetRootAs(path.read_bytes(), 0)
        self.graph = self.model.Subgraphs(0)
        signature = self.model.SignatureDefs(0)
        inputs = map(signature.Inputs, range(signature.InputsLength()))
        outputs = map(signature.Outputs, range(signature.OutputsLength()))
        self.inputs, self.outputs = (
            {each.Name().decode(): each.TensorIndex() for each in both}
            for both in (inputs, outputs)
        )
        tensors = map(self.graph.Tensors, range(self.graph.TensorsLength()))
        self.constants = {i: self._constant(tensor) for i, tensor in enumerate(tensors)}
        self.see = tf.function(self._see, autograph=False)

    def _constant(self, tensor):
        """Return the numbers of a constant tensor, or None for others."""
        buffer = self.model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return None
        integers = buffer.DataAsNumpy().view(NUMBERS[tensor.Type()])
        integers = integers.reshape(tensor.ShapeAsNumpy())
        quantization = tensor.Quantization()
        if not quantization.ScaleLength():  # a shape, an axis, or the like
            return integers
        along = [1] * integers.ndim
        along[quantization.QuantizedDimension()] = -1
        centred = integers - quantization.ZeroPointAsNumpy().reshape(along)
        return (centred * quantization.ScaleAsNumpy().reshape(along)).astype(np.float32)

    def run(self, frames):
        """Return `(averages, logits)` after the last of some uint8 frames.

        Args:
            frames: `(time, height, width, 3)`.

        Returns:
            The means over space and time that precede the hidden layer, and the logits.
        """
        states = {}
        for name, i in self.inputs.items():
            if name != "image":
                dtype = np.int32 if name.endswith("count") else np.float32
                states[name] = tf.zeros(self.graph.Tensors(i).ShapeAsNumpy(), dtype)
        for frame in frames:
            image = tf.constant(frame[np.newaxis, np.newaxis] / np.float32(255))
            averages, logits, states = self.see(states | {"image": image})
        return averages.numpy().ravel(), logits.numpy().ravel()

    def _see(self, given):
        """Return the averages and the logits after a frame, and the states for the next one."""
        values = self.constants | {self.inputs[name]: tensor for name, tensor in given.items()}
        for operation in map(self.graph.Operators, range(self.graph.OperatorsLength())):
            kind = KINDS[self.model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode()]
            arguments = [values[i] for i in operation.InputsAsNumpy()]
            result = compute(kind, options_of(operation), *arguments)
            values[operation.Outputs(0)] = result
            if kind == "DIV":
                averages = result
        states = {name: values[self.outputs[name]] for name in given if name != "image"}
        return averages, values[self.outputs["logits"]], states


def options_of(operation):
    """Return the options of an operation, or None if it has none."""
    name = OPTIONS[operation.BuiltinOptionsType()]
    if name == "NONE":
        return None
    options, table = getattr(tflite, name)(), operation.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def compute(kind, options, x, *others):
    """Return the result of an operation."""
    match kind:
        case "QUANTIZE" | "DEQUANTIZE":
            return x
        case "RESHAPE":
            return tf.reshape(x, others[0])
        case "CAST":
            return tf.cast(x, tf.float32)
        case "CONCATENATION":
            return tf.concat([x, *others], options.Axis())
        case "SUM":
            return tf.reduce_sum(x, others[0], keepdims=options.KeepDims())
        case "STRIDED_SLICE":
            masks = {"begin_mask": options.BeginMask(), "end_mask": options.EndMask()}
            assert not (options.EllipsisMask() or options.NewAxisMask() or options.ShrinkAxisMask())
            return tf.strided_slice(x, *others, **masks)
        case "ADD":
            result = x + others[0]
        case "MUL":
            result = x * others[0]
        case "DIV":
            result = x / others[0]
        case "AVERAGE_POOL_2D":
            size = (options.FilterHeight(), options.FilterWidth())
            result = tf.nn.avg_pool2d(x, size, *steps(options))
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            convolve = tf.nn.conv2d if kind == "CONV_2D" else tf.nn.depthwise_conv2d
            kernel, bias = others
            result = convolve(x, kernel.transpose(1, 2, 3, 0), *steps(options)) + bias
            assert options.DilationHFactor() == options.DilationWFactor() == 1
    return ACTIVATIONS[options.FusedActivationFunction()](result)


def steps(options):
    """Return the strides and the padding of a convolution or pooling."""
    return [1, options.StrideH(), options.StrideW(), 1], PADDINGS[options.Padding()]
