import keras
import numpy as np
import pytest

from helpers.layers import Conv2Plus1D, Project, ResidualMain, ResizeVideo, add_residual_block

VIDEO = np.random.default_rng(0).random((2, 6, 8, 10, 4), dtype=np.float32)

LAYERS = {
    "tutorial's (2+1)D": lambda: Conv2Plus1D(5, (3, 3, 3), "same"),
    "paper's (2+1)D": lambda: Conv2Plus1D(5, (3, 3, 3), "same", mid_filters=7, strides=(2, 2, 2), normalized=True),
    "valid padding": lambda: Conv2Plus1D(5, (3, 3, 3), "valid"),
    "main": lambda: ResidualMain(5, (3, 3, 3)),
    "main, 3d": lambda: ResidualMain(5, (3, 3, 3), conv="3d"),
    "main, 2d": lambda: ResidualMain(5, (3, 3, 3), conv="2d"),
    "project": lambda: Project(5),
    "resize": lambda: ResizeVideo(4, 5),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_saves_and_loads_with_the_same_output(make, tmp_path):
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, make()(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(VIDEO, verbose=0), model.predict(VIDEO, verbose=0))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_announces_the_shape_that_it_gives(make):
    layer = make()
    assert tuple(layer(VIDEO).shape) == tuple(layer.compute_output_shape(VIDEO.shape))


def test_2plus1d_is_space_then_time():
    layer = Conv2Plus1D(5, (3, 3, 3), "same")
    out = np.array(layer(VIDEO))
    spatial, temporal = layer.seq.layers
    np.testing.assert_allclose(out, np.array(temporal(spatial(VIDEO))), atol=1e-6)
    assert spatial.kernel_size == (1, 3, 3) and temporal.kernel_size == (3, 1, 1)


def test_paper_block_bends_between_space_and_time():
    names = [type(layer).__name__ for layer in Conv2Plus1D(5, (3, 3, 3), "same", normalized=True).seq.layers]
    assert names == ["Conv3D", "BatchNormalization", "ReLU", "Conv3D"]


def test_normalized_convolution_has_no_biases():
    layer = Conv2Plus1D(5, (3, 3, 3), "same", normalized=True)
    layer.build(VIDEO.shape)
    assert not any(part.use_bias for part in layer.seq.layers if isinstance(part, keras.layers.Conv3D))


def test_kernel_of_three_reaches_one_frame_each_way():
    layer = Conv2Plus1D(5, (3, 3, 3), "same")
    altered = VIDEO.copy()
    altered[:, 2] += 1
    change = np.abs(np.array(layer(altered)) - np.array(layer(VIDEO))).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == [1, 2, 3]


def test_2d_main_branch_sees_each_frame_by_itself():
    layer = ResidualMain(5, (3, 3, 3), conv="2d")
    altered = VIDEO.copy()
    altered[:, 2] += 1
    change = np.abs(np.array(layer(altered)) - np.array(layer(VIDEO))).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == [2]


def test_resize_video_is_resizing_each_frame():
    resized = np.array(ResizeVideo(4, 5)(VIDEO))
    for time in range(VIDEO.shape[1]):
        np.testing.assert_allclose(resized[:, time], np.array(keras.layers.Resizing(4, 5)(VIDEO[:, time])), atol=1e-6)


@pytest.mark.parametrize("filters, projected", [(4, False), (6, True)])
def test_residual_block_projects_only_where_channels_differ(filters, projected):
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, add_residual_block(inputs, filters, (3, 3, 3)))
    assert model.output_shape == (None, 6, 8, 10, filters)
    assert any(isinstance(layer, Project) for layer in model.layers) == projected


def test_residual_block_adds_its_input():
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, add_residual_block(inputs, 4, (3, 3, 3)))
    main = next(layer for layer in model.layers if isinstance(layer, ResidualMain))
    np.testing.assert_allclose(model.predict(VIDEO, verbose=0), VIDEO + np.array(main(VIDEO)), atol=1e-5)


def test_unknown_convolution_is_named():
    with pytest.raises(ValueError, match="4d"):
        ResidualMain(5, (3, 3, 3), conv="4d")
