"""A recipe's effect on a network: its initial weights, its loss and its optimiser."""

import dataclasses

import keras
import numpy as np
import pytest

from helpers import recipes
from helpers.recipes import RECIPES, Recipe, SmoothedCrossentropy, build_model, compile_model
from helpers.settings import Settings

SETTINGS = Settings("puppets", "short", frame_step=5, size=16, epochs=1, num_classes=3, n_frames=4)
LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], np.float32)
LABELS = np.array([0, 2])


def crossentropies(targets):
    """Return the cross-entropy of each clip by its definition."""
    log_probabilities = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    return -(targets * log_probabilities).sum(axis=1)


@pytest.mark.parametrize(
    "smoothing, targets",
    [
        (0.0, [[1, 0, 0], [0, 0, 1]]),
        (0.3, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]),
        (1.0, [[1 / 3] * 3] * 2),
    ],
)
def test_smoothing_spreads_its_share_over_all_classes(smoothing, targets):
    expected = crossentropies(np.array(targets))
    losses = SmoothedCrossentropy(smoothing, reduction="none")(LABELS, LOGITS)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    mean = SmoothedCrossentropy(smoothing)(LABELS, LOGITS)
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-5)


def test_loss_keeps_its_name_in_saved_networks():
    assert keras.saving.get_registered_name(SmoothedCrossentropy) == "helpers>SmoothedCrossentropy"


def test_loss_is_restored_from_its_configuration():
    loss = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.3, name="mine")))
    assert isinstance(loss, SmoothedCrossentropy)
    assert loss.label_smoothing == 0.3 and loss.name == "mine"
    assert SmoothedCrossentropy().label_smoothing == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_network_is_compiled_with_the_recipes_loss(smoothing):
    logits = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    recipe = Recipe(label_smoothing=smoothing, cosine=False)
    losses = compile_model(logits, recipe).evaluate(LOGITS, LABELS, verbose=0, return_dict=True)
    share = smoothing / 3
    expected = crossentropies(np.where(np.eye(3)[LABELS], 1 - smoothing + share, share)).mean()
    assert losses == pytest.approx({"loss": expected, "accuracy": 0.5}, rel=1e-5)


def decay(recipe):
    """Set all weights to 1 and take a step without gradients.

    Returns:
        `(model, losses)`: the recipe's network, and how much each weight has lost, by its path.
    """
    model = compile_model(build_model(recipe, SETTINGS), recipe, steps=20)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(keras.ops.ones_like(variable))
    gradients = [keras.ops.zeros_like(variable) for variable in variables]
    model.optimizer.apply(gradients, variables)
    losses = {variable.path: 1 - np.asarray(variable).ravel()[0] for variable in variables}
    return model, losses


@pytest.mark.parametrize("network", recipes.NETWORKS)
def test_weight_decay_applies_to_kernels_but_not_to_biases_and_normalisations(network):
    recipe = Recipe(network, weight_decay=0.05, learning_rate=1e-2, cosine=False)
    _, losses = decay(recipe)
    for path, loss in losses.items():
        expected = 0.05 * 1e-2 if path.endswith("/kernel") else 0
        assert loss == pytest.approx(expected, abs=1e-7), path
    kinds = {path.rsplit("/")[-1] for path in losses}
    others = {"bias", "gain"} if network == "movinet_a0" else {"bias", "gamma", "beta"}
    assert kinds == {"kernel", *others}


def test_without_weight_decay_nothing_decays():
    model, losses = decay(Recipe(cosine=False))
    assert type(model.optimizer) is keras.optimizers.Adam and set(losses.values()) == {0}


@pytest.mark.parametrize("recipe", [Recipe(weight_decay=0.05), Recipe()])
def test_optimiser_has_the_recipes_learning_rate(recipe):
    model = compile_model(
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), recipe, steps=50
    )
    rate = recipes.learning_rate_schedule(recipe, 50)
    model.optimizer.iterations.assign(3)
    assert float(model.optimizer.learning_rate) == pytest.approx(float(rate(3)))


def test_learning_rate_rises_in_the_first_tenth_and_falls_along_a_cosine():
    rate = recipes.learning_rate_schedule(Recipe(learning_rate=1e-2), 200)
    rising, falling = np.arange(20), np.arange(20, 200)
    expected = 1e-4 + (1e-2 - 1e-4) * rising / 20
    np.testing.assert_allclose([rate(step) for step in rising], expected, rtol=1e-4)
    expected = 1e-2 * (1 + np.cos(np.pi * (falling - 20) / 180)) / 2
    np.testing.assert_allclose([rate(step) for step in falling], expected, rtol=1e-3, atol=1e-7)
    assert recipes.learning_rate_schedule(Recipe(learning_rate=1e-2, cosine=False), None) == 1e-2


def test_cosine_schedule_needs_the_number_of_steps():
    with pytest.raises(ValueError, match="pass steps"):
        recipes.learning_rate_schedule(Recipe(), None)


@pytest.mark.parametrize(
    "recipe", [Recipe(learning_rate=2e-3), RECIPES["tutorial"], RECIPES["book"]]
)
def test_a_reset_network_trains_as_a_new_one(recipe, monkeypatch):
    def build_tiny_network(num_classes, n_frames, height, width, **_):
        layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes)]
        return keras.Sequential([keras.Input((n_frames, height, width, 3)), *layers])

    monkeypatch.setitem(recipes.NETWORKS, recipe.network, build_tiny_network)
    frames = np.random.default_rng(0).integers(0, 256, (12, 4, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(12) % 3

    def train(model):
        history = model.fit(frames, labels, batch_size=5, epochs=2, verbose=0).history
        return history, model.predict(frames, verbose=0)

    def compiled(recipe):
        return compile_model(build_model(recipe, SETTINGS), recipe, steps=6)

    other = dataclasses.replace(recipe, seed=1)
    expected, reused = [train(compiled(each)) for each in (recipe, other)], compiled(recipe)
    train(reused)
    for (history, logits), each in zip(expected, (recipe, other)):
        again, same = train(recipes.reset_model(reused, each, SETTINGS))
        assert again == history
        np.testing.assert_array_equal(same, logits)
    assert not np.array_equal(expected[0][1], expected[1][1])


def test_a_compiled_network_has_all_variables_of_its_training():
    """TensorFlow would trace a step that creates some twice."""
    model = compile_model(build_model(Recipe(), SETTINGS), Recipe(), steps=2)
    before = [len(part.variables) for part in (model, model.optimizer)]
    model.train_on_batch(np.zeros((2, 4, 16, 16, 3), np.uint8), np.array([0, 1]))
    assert [len(part.variables) for part in (model, model.optimizer)] == before


def test_initial_weights_depend_on_the_seed():
    models = (build_model(Recipe(seed=seed), SETTINGS) for seed in (1, 1, 2))
    one, same, other = (model.get_weights() for model in models)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("conv", ["2plus1d", "2d"])
@pytest.mark.parametrize("network", ["small_resnet", "tutorial", "resnet18"])
def test_network_is_that_of_the_recipe_for_the_settings_clips(network, conv, subtract_mean):
    model = build_model(Recipe(network, conv, subtract_mean=subtract_mean), SETTINGS)
    same = recipes.NETWORKS[network](
        conv=conv, subtract_mean=subtract_mean, num_classes=3, n_frames=4, height=16, width=16
    )
    assert model.input_shape == (None, 4, 16, 16, 3) and model.output_shape == (None, 3)
    kinds = [[(type(layer), layer.output.shape) for layer in each.layers] for each in (model, same)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("network", recipes.NETWORKS)
def test_logits_are_float32_in_mixed_precision(network):
    model = build_model(Recipe(network, mixed=True), SETTINGS)
    assert model.output.dtype == model.layers[-1].compute_dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}


def test_precision_is_that_of_the_recipe_and_the_global_policy_does_not_change():
    before = keras.config.dtype_policy()
    assert build_model(Recipe(mixed=True), SETTINGS).get_layer("stem").compute_dtype == "bfloat16"
    assert build_model(Recipe(), SETTINGS).get_layer("stem").compute_dtype == "float32"
    with pytest.raises(ValueError, match="4d"):
        build_model(Recipe(conv="4d", mixed=True), SETTINGS)
    assert keras.config.dtype_policy() == before


def test_plain_recipe_and_names():
    plain = {
        "cosine": True,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "subtract_mean": False,
        "augment": False,
        "mixed": False,
        "seed": 0,
    }
    assert plain.items() <= dataclasses.asdict(Recipe()).items()
    assert RECIPES["plain"] == Recipe()
    assert Recipe().name == "small_resnet-2plus1d-0.001-seed0"
    assert Recipe("tutorial", "3d", 1e-4, seed=2).name == "tutorial-3d-0.0001-seed2"
    assert Recipe().augmentation is None and Recipe(augment=True).augmentation is not None


def test_recipes_are_immutable_and_can_be_keys_of_a_dictionary():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().seed = 1
    assert {Recipe(): "run"}[Recipe()] == "run"
