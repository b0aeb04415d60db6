import itertools
from functools import partial

import keras
import numpy as np
import pytest

from helpers import models
from helpers.counting import (
    conv2plus1d_multiply_adds,
    conv2plus1d_parameters,
    conv3d_multiply_adds,
    conv3d_parameters,
    layer_table,
    mid_channels,
)
from helpers.efficientnet import build_efficientnet_lite0
from helpers.layers import Conv2Plus1D, DepthwiseVideoConv, VideoConv
from helpers.movinet import build_movinet_a0


def keras_count(layer, in_channels):
    layer.build((None, 8, 16, 16, in_channels))
    return layer.count_params()


GRID = list(
    itertools.product(
        (1, 3, 16), (1, 5, 16), ((1, 3, 3), (3, 1, 1), (3, 3, 3), (5, 3, 7)), (True, False)
    )
)


@pytest.mark.parametrize("in_channels, out_channels, kernel_size, bias", GRID)
def test_3d_parameters_are_those_that_keras_counts(in_channels, out_channels, kernel_size, bias):
    layer = keras.layers.Conv3D(out_channels, kernel_size, use_bias=bias)
    parameters = conv3d_parameters(in_channels, out_channels, kernel_size, bias)
    assert parameters == keras_count(layer, in_channels)


@pytest.mark.parametrize("mid", [None, 7])
@pytest.mark.parametrize("in_channels, out_channels", [(3, 16), (16, 16), (16, 32)])
def test_2plus1d_parameters_are_those_that_keras_counts(in_channels, out_channels, mid):
    layer = Conv2Plus1D(out_channels, (3, 5, 7), "same", mid_channels=mid)
    parameters = conv2plus1d_parameters(in_channels, out_channels, (3, 5, 7), mid)
    assert parameters == keras_count(layer, in_channels)


def test_formulas_of_the_chapter():
    for channels in (1, 16, 64):
        assert conv3d_parameters(channels, channels, (3, 3, 3), bias=False) == 27 * channels**2
        assert conv2plus1d_parameters(channels, channels, (3, 3, 3), bias=False) == 12 * channels**2


def test_m_of_the_paper():
    # Published for R(2+1)D's first stage: 64 channels in and out, and 144 between.
    assert mid_channels(64, 64, (3, 3, 3)) == 144
    assert mid_channels(64, 128, (3, 3, 3)) == 230


@pytest.mark.parametrize(
    "in_channels, out_channels", [(3, 16), (16, 16), (16, 32), (64, 64), (256, 512)]
)
@pytest.mark.parametrize("kernel_size", [(3, 3, 3), (3, 7, 7), (5, 3, 3)])
def test_m_is_the_largest_with_no_more_parameters_than_3d(in_channels, out_channels, kernel_size):
    sizes = in_channels, out_channels, kernel_size
    mid, limit = mid_channels(*sizes), conv3d_parameters(*sizes, bias=False)
    assert conv2plus1d_parameters(*sizes, mid, bias=False) <= limit
    assert conv2plus1d_parameters(*sizes, mid + 1, bias=False) > limit


def test_m_is_never_zero():
    assert mid_channels(1, 1, (1, 1, 1)) == 1


def leaves(layer):
    """Return the innermost layers of a layer or a network."""
    parts = layer.layers if isinstance(layer, keras.Model) else ()
    if hasattr(layer, "seq"):
        parts = layer.seq.layers
    return [leaf for part in parts for leaf in leaves(part)] or [layer]


KINDS = ("2d", "mc3", "3d", "2plus1d")
NETWORKS = {
    "tutorial": models.build_tutorial_model,
    "small_resnet": models.build_small_resnet,
    "resnet18": lambda conv, **sizes: models.build_resnet18(conv, **sizes),
}
MOBILE = {"movinet_a0": build_movinet_a0, "efficientnet_lite0": build_efficientnet_lite0}
SIZES = {"num_classes": 7, "n_frames": 6, "height": 32, "width": 48}


@pytest.mark.parametrize(
    "build",
    [
        *(partial(build, conv=conv) for build in NETWORKS.values() for conv in KINDS),
        *MOBILE.values(),
    ],
    ids=[*(f"{name}-{conv}" for name in NETWORKS for conv in KINDS), *MOBILE],
)
def test_table_agrees_with_each_layer_of_the_built_model(build, monkeypatch):
    model = build(**SIZES)
    rows = {row.name.split("/")[-1]: row for row in layer_table(model)}
    without_row = keras.layers.Add, keras.layers.InputLayer
    built = [leaf for leaf in leaves(model) if not isinstance(leaf, without_row)]
    assert len(rows) == len(built)
    for leaf in built:
        assert rows[leaf.name].parameters == leaf.count_params(), leaf.name
    assert sum(row.parameters for row in rows.values()) == model.count_params()

    computed = {}

    def record_calls(kind):
        real = kind.call

        def call(self, x, *args, **kwargs):
            output = real(self, x, *args, **kwargs)
            # Each weight of the kernel is used once at each position of the actual output.
            positions = int(np.prod(output.shape[1:-1]))
            computed[self.name] = int(np.prod(self.kernel.shape)) * positions
            return output

        monkeypatch.setattr(kind, "call", call)

    record_calls(VideoConv)
    record_calls(DepthwiseVideoConv)
    record_calls(keras.layers.Dense)
    model(np.zeros((1, *model.input_shape[1:]), np.uint8))
    counted = {name: row.multiply_adds for name, row in rows.items() if row.multiply_adds}
    assert counted == computed


def test_multiply_adds_by_hand():
    """Count one output at a time, one weight at a time."""
    count = 0
    outputs = range(2), range(3), range(4), range(5)  # time, height, width, filter
    weights = range(3), range(1), range(2), range(6)  # time, height, width, channel
    for _ in itertools.product(*outputs):
        for _ in itertools.product(*weights):
            count += 1
    assert conv3d_multiply_adds(6, 5, (3, 1, 2), (2, 3, 4)) == count


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2)])
def test_2plus1d_multiply_adds_are_those_of_its_two_convolutions(strides):
    inputs = keras.Input((8, 16, 16, 5))
    layer = Conv2Plus1D(6, (3, 3, 3), "same", mid_channels=9, strides=strides)
    rows = layer_table(keras.Model(inputs, layer(inputs)))
    output = tuple(layer.compute_output_shape((None, 8, 16, 16, 5))[1:-1])
    options = {"mid_channels": 9, "strides": strides}
    multiply_adds = conv2plus1d_multiply_adds(5, 6, (3, 3, 3), output, **options)
    assert multiply_adds == sum(row.multiply_adds for row in rows)


def test_m_of_the_paper_also_matches_the_multiply_adds():
    sizes, output = (64, 64, (3, 3, 3)), (8, 56, 56)
    factorised = conv2plus1d_multiply_adds(*sizes, output, mid_channels(*sizes))
    assert factorised == conv3d_multiply_adds(*sizes, output)
