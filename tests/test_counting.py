import itertools

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
from helpers.layers import Conv2Plus1D, VideoConv


def keras_count(layer, in_channels):
    layer.build((None, 8, 16, 16, in_channels))
    return layer.count_params()


GRID = list(
    itertools.product(
        (1, 3, 16), (1, 5, 16), ((1, 3, 3), (3, 1, 1), (3, 3, 3), (5, 3, 7)), (True, False)
    )
)


@pytest.mark.parametrize("in_channels, out_channels, kernel_size, bias", GRID)
def test_3d_count_is_keras_count(in_channels, out_channels, kernel_size, bias):
    layer = keras.layers.Conv3D(out_channels, kernel_size, use_bias=bias)
    assert conv3d_parameters(in_channels, out_channels, kernel_size, bias) == keras_count(
        layer, in_channels
    )


@pytest.mark.parametrize("middle", [None, 7])
@pytest.mark.parametrize("in_channels, out_channels", [(3, 16), (16, 16), (16, 32)])
def test_2plus1d_count_is_keras_count(in_channels, out_channels, middle):
    layer = Conv2Plus1D(out_channels, (3, 5, 7), "same", mid_channels=middle)
    assert conv2plus1d_parameters(in_channels, out_channels, (3, 5, 7), middle) == keras_count(
        layer, in_channels
    )


def test_formulas_of_the_text():
    for channels in (1, 16, 64):
        assert conv3d_parameters(channels, channels, (3, 3, 3), bias=False) == 27 * channels**2
        assert conv2plus1d_parameters(channels, channels, (3, 3, 3), bias=False) == 12 * channels**2


def test_m_of_the_paper():
    # Of R(2+1)D's first stage, as published: 64 channels in and out, 144 in the middle.
    assert mid_channels(64, 64, (3, 3, 3)) == 144
    assert mid_channels(64, 128, (3, 3, 3)) == 230


@pytest.mark.parametrize(
    "in_channels, out_channels", [(3, 16), (16, 16), (16, 32), (64, 64), (256, 512)]
)
@pytest.mark.parametrize("kernel_size", [(3, 3, 3), (3, 7, 7), (5, 3, 3)])
def test_m_is_the_largest_that_costs_no_more_than_3d(in_channels, out_channels, kernel_size):
    middle = mid_channels(in_channels, out_channels, kernel_size)
    limit = conv3d_parameters(in_channels, out_channels, kernel_size, bias=False)
    assert (
        conv2plus1d_parameters(in_channels, out_channels, kernel_size, middle, bias=False) <= limit
    )
    assert (
        conv2plus1d_parameters(in_channels, out_channels, kernel_size, middle + 1, bias=False)
        > limit
    )


def test_m_is_never_zero():
    assert mid_channels(1, 1, (1, 1, 1)) == 1


def leaves(layer):
    parts = (
        layer.seq.layers
        if hasattr(layer, "seq")
        else layer.layers
        if isinstance(layer, keras.Model)
        else ()
    )
    return [leaf for part in parts for leaf in leaves(part)] or [layer]


NETWORKS = {
    "tutorial": models.build_tutorial_model,
    "small_resnet": models.build_small_resnet,
    "resnet18": lambda conv, **sizes: models.build_resnet18(conv, **sizes),
}
SIZES = {"num_classes": 7, "n_frames": 6, "height": 32, "width": 48}


@pytest.mark.parametrize("conv", ["2d", "mc3", "3d", "2plus1d"])
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_table_holds_layer_by_layer_in_the_built_model(build, conv, monkeypatch):
    model = build(conv=conv, **SIZES)
    rows = {row.name.split("/")[-1]: row for row in layer_table(model)}
    built = [
        leaf
        for leaf in leaves(model)
        if not isinstance(leaf, (keras.layers.Add, keras.layers.InputLayer))
    ]
    assert len(rows) == len(built)
    for leaf in built:
        assert rows[leaf.name].parameters == leaf.count_params(), leaf.name
    assert sum(row.parameters for row in rows.values()) == model.count_params()

    used = {}

    def note(kind):
        real = kind.call

        def call(self, x, *args, **kwargs):
            out = real(self, x, *args, **kwargs)
            # Each weight of the kernel once for each place of what really came out.
            used[self.name] = int(np.prod(self.kernel.shape)) * int(np.prod(out.shape[1:-1]))
            return out

        monkeypatch.setattr(kind, "call", call)

    note(VideoConv)
    note(keras.layers.Dense)
    model(np.zeros((1, *model.input_shape[1:]), np.uint8))
    assert {name: row.multiply_adds for name, row in rows.items() if row.multiply_adds} == used


def test_multiply_adds_by_hand():
    """One output at a time, one weight at a time."""
    done = 0
    for _ in itertools.product(
        range(2), range(3), range(4), range(5)
    ):  # time, height, width, filter
        for _ in itertools.product(range(3), range(1), range(2), range(6)):  # kernel, channel
            done += 1
    assert conv3d_multiply_adds(6, 5, (3, 1, 2), (2, 3, 4)) == done


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2)])
def test_2plus1d_multiply_adds_are_those_of_its_two_steps(strides):
    inputs = keras.Input((8, 16, 16, 5))
    layer = Conv2Plus1D(6, (3, 3, 3), "same", mid_channels=9, strides=strides)
    rows = layer_table(keras.Model(inputs, layer(inputs)))
    output = tuple(layer.compute_output_shape((None, 8, 16, 16, 5))[1:-1])
    total = sum(row.multiply_adds for row in rows)
    assert (
        conv2plus1d_multiply_adds(5, 6, (3, 3, 3), output, mid_channels=9, strides=strides) == total
    )


def test_m_of_the_paper_matches_multiply_adds_as_well():
    output, middle = (8, 56, 56), mid_channels(64, 64, (3, 3, 3))
    assert conv2plus1d_multiply_adds(64, 64, (3, 3, 3), output, middle) == conv3d_multiply_adds(
        64, 64, (3, 3, 3), output
    )
