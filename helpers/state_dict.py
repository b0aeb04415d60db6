"""PyTorch's weights for layers of Keras, read without PyTorch.

Taught in *Start from a trained network*. Such a file is a pickle, and loading an arbitrary pickle
can run any code. Here nothing but tensors and the dictionary around them is admitted.
"""

import collections
import io
import math
import os
import pathlib
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from helpers.layers import DepthwiseVideoConv

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
# The first of five pickles in files of PyTorch 1.5 and older.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
# What a damaged file leads to.
_DAMAGED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _RefusedError(Exception):
    """A pickle asks for something that is not a tensor; the message names it."""


class _Tensor(NamedTuple):
    """A tensor whose values have not been read yet: the arguments of PyTorch's constructor."""

    storage: tuple
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the weights in a file that PyTorch's `torch.save` wrote, in its new or old format.

    Args:
        path: The file, which contains a dictionary of tensors such as `model.state_dict()`.

    Returns:
        The arrays by name. Their channels come first, as in PyTorch.

    Raises:
        ValueError: The file can't be read, is damaged, or contains something other than tensors.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror or error}); name a file of weights (.pth)."
        ) from error
    try:
        is_zip = content.startswith(b"PK")
        tensors, storages = (_read_new if is_zip else _read_old)(content)
        return {name: _to_array(tensor, storages) for name, tensor in tensors.items()}
    except _RefusedError as error:
        raise ValueError(
            f"{path} contains {error}, and only tensors are read, because other contents could run "
            "any program; save the network's state_dict() alone."
        ) from error
    except _DAMAGED as error:
        raise ValueError(
            f"{path} is cut short, damaged, or not a file of PyTorch's weights; download it again."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Admits tensors, and the dictionary around them."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, saved_id: Any) -> Any:
        kind, dtype, key, _, count, *_ = saved_id
        if kind != "storage":
            raise _RefusedError(repr(kind))
        return str(dtype), str(key), int(count)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor, *_):
    return tensor


def _load(file):
    begin = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        # For one large index, as damage may cause it, Python fills the memory with an empty table.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > 1 << 20:
            raise ValueError("a pickle numbers more values than any network has")
    file.seek(begin)
    return _Unpickler(file).load()


def _load_tensors(file):
    """Return the tensors in a pickle by name.

    Raises:
        _RefusedError: It contains something else.
    """
    tensors = _load(file)
    if not isinstance(tensors, dict) or not tensors:
        raise _RefusedError("something other than a dictionary")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise _RefusedError(f"{name!r}, which is not a tensor")
    return tensors


def _read_new(content):
    """Return the tensors and the bytes of their storages from a ZIP, PyTorch's new format."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("PyTorch compresses nothing")
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        storages = {
            name.removeprefix(f"{folder}data/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{folder}data/")
        }
        return _load_tensors(io.BytesIO(archive.read(pickled))), storages


def _read_old(content):
    """Return the tensors and the bytes of their storages from PyTorch's old format.

    Five pickles (a magic number, a version, a description of the machine, the tensors, the keys of
    the storages) precede the storages, each with its length.
    """
    file = io.BytesIO(content)
    if _load(file) != _MAGIC_NUMBER:
        raise ValueError("it has another magic number")
    _load(file)
    _load(file)
    tensors = _load_tensors(file)
    sizes = {}
    for tensor in tensors.values():
        dtype, key, _ = tensor.storage
        sizes[key] = np.dtype(dtype).itemsize
    storages = {}
    for key in _load(file):
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * sizes[key])
    return tensors, storages


def _to_array(tensor, storages):
    """Return the values of a tensor.

    Raises:
        ValueError: It reaches beyond its storage, or repeats numbers of it.
    """
    dtype, key, count = tensor.storage
    values = np.frombuffer(storages[key], dtype)
    shape, strides = tensor.shape, tensor.strides
    if len(values) != count or min(tensor.offset, *shape, *strides, 0) < 0:
        raise ValueError("a storage has another length, or a tensor a negative one")
    if 0 in shape:
        return np.empty(shape, dtype)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= count or math.prod(shape) > count:
        raise ValueError("a tensor reaches beyond its storage")
    strides_in_bytes = [stride * values.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], shape, strides_in_bytes)
    return view.copy()


def assign_weights(
    layers: Mapping[str, keras.layers.Layer],
    state_dict: Mapping[str, Any],
    source: str,
    *,
    include_top: bool = True,
) -> None:
    """Assign PyTorch's weights to layers of Keras. Either all of them change or, on errors, none.

    Args:
        layers: Convolutions, batch normalisations and dense layers by PyTorch's name of the module.
            The last one returns the logits.
        state_dict: Arrays or tensors by PyTorch's names.
        source: What the weights are called in errors.
        include_top: Whether the last layer gets its weights, too. If not, it stays as it is.

    Raises:
        ValueError: The weights are those of another network.
    """
    *_, (top, logits) = layers.items()
    found = {
        name: _to_numpy(value)
        for name, value in state_dict.items()
        if not name.endswith("num_batches_tracked")
    }
    classes = np.size(found.get(f"{top}.bias", ()))
    if include_top and classes not in (0, logits.units):
        raise ValueError(
            f"The network has {logits.units} classes, but the weights of {source} have {classes}; "
            "pass include_top=False to leave its logits as they are."
        )
    if not include_top:
        layers = dict(list(layers.items())[:-1])
        found = {name: array for name, array in found.items() if not name.startswith(f"{top}.")}
    expected = {
        f"{module}.{name}": (layer, variable)
        for module, layer in layers.items()
        for name, variable in zip(_NAMES[len(layer.weights)], layer.weights)
    }
    values = {}
    for name, (layer, variable) in expected.items():
        values[name] = _to_keras(found.get(name), layer)
        if values[name] is None or values[name].shape != tuple(variable.shape):
            shape = "is missing" if name not in found else f"has the shape {found[name].shape}"
            raise ValueError(
                f"{source} has the weights of another network: {name} {shape}, but the network's "
                f"layer {layer.name} needs {tuple(variable.shape)}."
            )
    if others := sorted(set(found) - set(expected)):
        raise ValueError(
            f"{source} has the weights of another network: {others[0]} belongs to no layer."
        )
    for name, (_, variable) in expected.items():
        variable.assign(values[name])


# PyTorch's names of a layer's weights in Keras's order, by their number.
_NAMES = {
    1: ("weight",),
    2: ("weight", "bias"),
    4: ("weight", "bias", "running_mean", "running_var"),
}


def _to_numpy(value):
    """Return an array; of PyTorch's tensors, also those on a GPU or with a gradient."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _to_keras(array, layer):
    """Return weights with Keras's order of axes, or None where the number of axes doesn't fit."""
    if array is None or array.ndim < 2:
        return array
    if isinstance(layer, DepthwiseVideoConv):
        return np.moveaxis(array, (0, 1), (-2, -1)) if array.ndim == 4 else None
    kernel = np.moveaxis(array, (0, 1), (-1, -2))
    # The convolutions of an image network see one frame.
    return kernel[np.newaxis] if kernel.ndim == 4 else kernel
