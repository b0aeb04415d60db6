"""Attribution maps, compared with sums computed by hand and with attributions known beforehand."""

import keras
import numpy as np
import pytest
from conftest import mixed_precision

from helpers import export, models
from helpers.saliency import (
    attribution_maps,
    compare_maps,
    grad_cam,
    moving_pixels,
    occlude,
    randomize_weights,
    upsample_maps,
)

SIZES = {"num_classes": 4, "n_frames": 10, "height": 32, "width": 32}
CLIPS = np.random.default_rng(0).integers(0, 256, (3, 10, 32, 32, 3), dtype=np.uint8)
STAGE3 = "stage3_block1_relu2"


@pytest.fixture(scope="module", params=["small_resnet", "tutorial_model"])
def network(request):
    """Each of the book's networks, untrained, with statistics of its clips, and a bias."""
    keras.utils.set_random_seed(0)
    model = getattr(models, f"build_{request.param}")(**SIZES)
    for _ in range(5):
        model(CLIPS, training=True)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + [1, 2, 3, 4]])
    return model


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    return models.build_small_resnet(**SIZES)


def watcher(colour, place, strides=(1, 1, 1), frames=(12, 16, 16)):
    """Return a network with two logits, the first of which sees one position at some moments.

    It is the mean of a colour there, after a strided convolution.

    Nothing but that place's pixels gets through; the second logit is always 0.
    """
    inputs = keras.Input((*frames, 3), dtype="uint8")
    mask = np.zeros((1, *frames, 1), "float32")
    mask[(0, *place)] = 1
    x = keras.layers.Rescaling(1 / 255)(inputs) * mask
    convolution = keras.layers.Conv3D(
        1, 3 if max(strides) > 1 else 1, strides=strides, padding="same", name="look"
    )
    x = keras.layers.ReLU(name="seen")(convolution(x))
    dense = keras.layers.Dense(2, name="logits")
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling3D()(x)))
    kernel = np.zeros(convolution.kernel.shape, "float32")
    kernel[..., colour, 0] = 1
    convolution.set_weights([kernel, np.zeros(1, "float32")])
    dense.set_weights([np.array([[1.0, 0.0]], "float32"), np.zeros(2, "float32")])
    return model


@pytest.mark.parametrize("pooled", [True, False])
def test_attribution_in_a_mixed_network_is_float32_and_nearly_the_same(pooled):
    keras.utils.set_random_seed(0)
    with mixed_precision():
        mixed = models.build_small_resnet(**SIZES)
    plain = export.as_float32(mixed)
    expected, attribution = (
        attribution_maps(model, CLIPS, [0, 1, 2], STAGE3, pooled=pooled) for model in (plain, mixed)
    )
    assert attribution.dtype == grad_cam(mixed, CLIPS).dtype == np.float32
    # Of six seeds, the largest difference was 0.053, the lowest rank correlation 0.967.
    np.testing.assert_allclose(attribution, expected, atol=0.1 * np.abs(expected).max())
    assert (compare_maps(attribution, expected) > 0.95).all()
    forgot = randomize_weights(mixed, ["logits"])
    assert [layer.compute_dtype for layer in forgot.layers[1:]] == [
        layer.compute_dtype for layer in mixed.layers[1:]
    ]


def test_attribution_of_the_last_volume_adds_up_to_the_logit(network):
    logits = network.predict(CLIPS, verbose=0)
    bias = network.layers[-1].get_weights()[1]
    for number in range(4):
        attribution = attribution_maps(network, CLIPS, [number] * 3)
        np.testing.assert_allclose(
            attribution.sum(axis=(1, 2, 3)) + bias[number], logits[:, number], rtol=1e-4, atol=1e-4
        )


def test_it_is_the_class_activation_map_whether_pooled_or_not(network):
    volume = [layer for layer in network.layers if len(layer.output.shape) == 5][-1]
    body = keras.Model(network.input, volume.output)
    activations = body.predict(CLIPS, verbose=0)
    weights = network.layers[-1].get_weights()[0][:, 2]  # Zhou et al. 2016, equation 2
    expected = activations @ weights / np.prod(activations.shape[1:4])
    for pooled in (True, False):
        attribution = attribution_maps(network, CLIPS, [2, 2, 2], pooled=pooled)
        np.testing.assert_allclose(attribution, expected, atol=1e-5 * np.abs(expected).max())


def test_channels_are_weighted_by_their_mean_gradient():
    # The logit is the mean of a product of two channels: by hand, each one's gradient is the other
    # one.
    inputs = keras.Input((2, 3, 3, 2), dtype="uint8")
    volume = keras.layers.Rescaling(1.0, name="volume")(inputs)
    product = volume[..., :1] * volume[..., 1:]
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling3D()(product))
    clips = np.random.default_rng(1).integers(0, 9, (2, 2, 3, 3, 2), dtype=np.uint8)
    a, b = clips[..., 0].astype(float), clips[..., 1].astype(float)
    mean_a, mean_b = (each.mean(axis=(1, 2, 3), keepdims=True) for each in (a, b))
    np.testing.assert_allclose(
        attribution_maps(model, clips, layer="volume"), (mean_b * a + mean_a * b) / 18, rtol=1e-5
    )
    np.testing.assert_allclose(
        attribution_maps(model, clips, layer="volume", pooled=False), 2 * a * b / 18, rtol=1e-5
    )


def test_map_lies_where_a_network_looks_that_sees_red_at_the_upper_left_in_late_frames():
    place = np.s_[8:12, 0:6, 0:6]
    model = watcher(0, place)
    clips = np.full((2, 12, 16, 16, 3), 200, np.uint8)
    clips[1, ..., 0] = 0  # no red
    maps = grad_cam(model, clips, [0, 0])
    inside = np.zeros(maps.shape[1:], bool)
    inside[place] = True
    assert maps.shape == (2, 12, 16, 16)
    assert (maps[0][inside] > 0).all() and (maps[0][~inside] == 0).all()
    assert (maps[1] == 0).all()
    assert (grad_cam(model, clips, [1, 1]) == 0).all(), "the other class looks at nothing"


@pytest.mark.parametrize("strides", [(1, 2, 2), (2, 2, 2), (2, 3, 3)])
@pytest.mark.parametrize("place", [(3, 4, 4), (8, 11, 5), (5, 8, 12)])
def test_strided_volumes_are_drawn_to_within_half_a_place(strides, place):
    model = watcher(1, tuple(slice(at, at + 1) for at in place), strides, frames=(12, 16, 16))
    found = grad_cam(model, np.full((1, 12, 16, 16, 3), 255, np.uint8), [0])[0]
    centre = [
        np.average(np.arange(size), weights=found.sum(axis=tuple({0, 1, 2} - {axis})))
        for axis, size in enumerate(found.shape)
    ]
    # Half a place, and the half pixel by which a place that is two pixels wide has no middle one.
    assert (np.abs(np.subtract(centre, place)) <= np.array(strides) / 2 + 0.5).all()


def test_places_are_drawn_in_the_middle_of_their_share_and_linearly_between():
    maps = np.array([0.0, 1.0]).reshape(1, 1, 1, 2)
    drawn = upsample_maps(maps, (3, 2, 8))
    assert drawn.shape == (1, 3, 2, 8)
    np.testing.assert_allclose(drawn[0, 2, 1], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_spreading_keeps_the_mean_and_symmetry():
    maps = np.random.default_rng(0).random((2, 2, 4, 4))
    drawn = upsample_maps(maps, (10, 64, 64))
    np.testing.assert_allclose(drawn.mean(axis=(1, 2, 3)), maps.mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(
        upsample_maps(maps[:, ::-1, :, ::-1], (10, 64, 64)), drawn[:, ::-1, :, ::-1]
    )


def test_a_map_is_what_is_positive_of_the_attribution_and_the_predicted_class_is_the_default(small):
    named = small.predict(CLIPS, verbose=0).argmax(axis=1)
    attribution = attribution_maps(small, CLIPS, named, STAGE3)
    np.testing.assert_allclose(
        attribution_maps(small, CLIPS, layer=STAGE3, batch_size=2), attribution, atol=1e-6
    )
    expected = upsample_maps(np.maximum(attribution, 0), CLIPS.shape[1:4])
    np.testing.assert_allclose(grad_cam(small, CLIPS, layer=STAGE3), expected, atol=1e-6)


@pytest.mark.parametrize("layer", ["stage9", "logits", "stage3_block1_conv1", "frames"])
def test_a_layer_that_is_no_cut_is_named(small, layer):
    with pytest.raises(ValueError, match=f"small_resnet can't be split at '{layer}': name a layer"):
        attribution_maps(small, CLIPS, layer=layer)


def test_random_weights_replace_those_parts_and_no_others(small):
    before = [weights.copy() for weights in small.get_weights()]
    forgetful = randomize_weights(small, ["stage4", "logits"], seed=1)
    for layer, own in zip(small.layers, forgetful.layers):
        kernels = [(a, b) for a, b in zip(layer.get_weights(), own.get_weights()) if a.ndim > 1]
        fresh = layer.name.startswith(("stage4", "logits"))
        assert all(np.array_equal(a, b) != fresh for a, b in kernels), layer.name
    for weights, kept in zip(small.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, kept)
    again = randomize_weights(small, ["stage4", "logits"], seed=1)
    assert all(map(np.array_equal, again.get_weights(), forgetful.get_weights()))
    with pytest.raises(ValueError, match="no layer whose name begins with 'stage5'"):
        randomize_weights(small, ["stage5"])


def test_comparison_goes_by_rank():
    maps = np.random.default_rng(0).random((4, 2, 3, 3))
    others = np.stack([maps[0] ** 3, -maps[1], np.ones_like(maps[2]), np.roll(maps[3], 1)])
    similarity = compare_maps(maps, others)
    assert (
        similarity[:2] == pytest.approx([1, -1])
        and np.isnan(similarity[2])
        and abs(similarity[3]) < 1
    )


def test_motion_is_what_leaves_the_median():
    clips = np.full((1, 5, 4, 4, 3), 100, np.uint8)
    clips[0, 3, 1, 2, 2] = 180
    clips[0, 3, 2, 2, 0] = 20
    clips[0, 4, 0, 0] = 120  # noise
    assert np.argwhere(moving_pixels(clips)).tolist() == [[0, 3, 1, 2], [0, 3, 2, 2]]


def test_classes_go_with_their_clips_in_whatever_batches(network):
    classes = [2, 0, 1]
    together, apart = (
        attribution_maps(network, CLIPS, classes, batch_size=size) for size in (3, 2)
    )
    np.testing.assert_allclose(apart, together, atol=1e-5)
    np.testing.assert_allclose(
        grad_cam(network, CLIPS, classes, batch_size=1),
        grad_cam(network, CLIPS, classes),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "maps",
    [np.random.default_rng(0).random((3, 10, 32, 32)), np.zeros((3, 10, 32, 32))],
    ids=["ranks", "ties"],
)
def test_covering_takes_the_highest_and_the_share_asked_for(maps):
    covered = (occlude(CLIPS, maps, 1 / 8) != CLIPS).any(axis=-1)
    grey = (occlude(CLIPS, maps, 1 / 8) == 127).all(axis=-1)
    assert grey.mean(axis=(1, 2, 3)) == pytest.approx([1 / 8] * 3, abs=1e-3)
    assert (covered <= grey).all()
    if maps.any():
        assert maps[grey].min() >= np.quantile(maps, 0.85)
