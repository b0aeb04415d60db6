import itertools

import keras
import pytest

from helpers.counting import conv2plus1d_parameters, conv3d_parameters, mid_channels
from helpers.layers import Conv2Plus1D


def keras_count(layer, in_channels):
    layer.build((None, 8, 16, 16, in_channels))
    return layer.count_params()


GRID = list(itertools.product((1, 3, 16), (1, 5, 16), ((1, 3, 3), (3, 1, 1), (3, 3, 3), (5, 3, 7)), (True, False)))


@pytest.mark.parametrize("in_channels, out_channels, kernel_size, bias", GRID)
def test_3d_count_is_keras_count(in_channels, out_channels, kernel_size, bias):
    layer = keras.layers.Conv3D(out_channels, kernel_size, use_bias=bias)
    assert conv3d_parameters(in_channels, out_channels, kernel_size, bias) == keras_count(layer, in_channels)


@pytest.mark.parametrize("middle", [None, 7])
@pytest.mark.parametrize("in_channels, out_channels", [(3, 16), (16, 16), (16, 32)])
def test_2plus1d_count_is_keras_count(in_channels, out_channels, middle):
    layer = Conv2Plus1D(out_channels, (3, 5, 7), "same", mid_filters=middle)
    assert conv2plus1d_parameters(in_channels, out_channels, (3, 5, 7), middle) == keras_count(layer, in_channels)


def test_formulas_of_the_text():
    for channels in (1, 16, 64):
        assert conv3d_parameters(channels, channels, (3, 3, 3), bias=False) == 27 * channels**2
        assert conv2plus1d_parameters(channels, channels, (3, 3, 3), bias=False) == 12 * channels**2


def test_m_of_the_paper():
    # Of R(2+1)D's first stage, as published: 64 channels in and out, 144 in the middle.
    assert mid_channels(64, 64, (3, 3, 3)) == 144
    assert mid_channels(64, 128, (3, 3, 3)) == 230


@pytest.mark.parametrize("in_channels, out_channels", [(3, 16), (16, 16), (16, 32), (64, 64), (256, 512)])
@pytest.mark.parametrize("kernel_size", [(3, 3, 3), (3, 7, 7), (5, 3, 3)])
def test_m_is_the_largest_that_costs_no_more_than_3d(in_channels, out_channels, kernel_size):
    middle = mid_channels(in_channels, out_channels, kernel_size)
    limit = conv3d_parameters(in_channels, out_channels, kernel_size, bias=False)
    assert conv2plus1d_parameters(in_channels, out_channels, kernel_size, middle, bias=False) <= limit
    assert conv2plus1d_parameters(in_channels, out_channels, kernel_size, middle + 1, bias=False) > limit


def test_m_is_never_zero():
    assert mid_channels(1, 1, (1, 1, 1)) == 1
