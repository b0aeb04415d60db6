"""Which network is trained, and how. Taught in the chapters *Train* and *Improve the recipe*."""

import dataclasses

import keras
from keras import ops

from helpers import models
from helpers.augmentation import Augmentation

NETWORKS = {
    "small_resnet": models.build_small_resnet,
    "tutorial": models.build_tutorial_model,
    "resnet18": models.build_resnet18,
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Which network is trained, and how; the clips and their sizes are in `helpers.settings.Settings`.

    Args:
        network: A key of `NETWORKS`.
        conv: What its convolutions are: `"2plus1d"`, `"3d"`, `"mc3"` or `"2d"`.
        learning_rate: Adam's rate; with `cosine` the largest one.
        cosine: Whether the rate rises over the first tenth of the training and falls along a cosine after it, to nothing.
        weight_decay: What AdamW takes off each kernel in a step, per rate.
        label_smoothing: The share of the probability that the loss wants to see spread over all classes.
        subtract_mean: Whether the network subtracts the clip's mean picture from each frame.
        augment: Whether training clips are mirrored, cropped and coloured at random.
        mixed: Whether to compute in 16 bits where that is safe, and keep weights in 32.
        seed: Seed of weights, order, starts and augmentation.
    """

    network: str = "small_resnet"
    conv: str = "2plus1d"
    learning_rate: float = 1e-3
    cosine: bool = True
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    subtract_mean: bool = False
    augment: bool = False
    mixed: bool = False
    seed: int = 0

    @property
    def name(self):
        """What the run's folder is called, such as `"small_resnet-2plus1d-0.001-seed0"`."""
        return f"{self.network}-{self.conv}-{self.learning_rate:g}-seed{self.seed}"

    @property
    def augmentation(self):
        """What changes the training clips, or None."""
        return Augmentation() if self.augment else None


RECIPES = {
    "plain": Recipe(),
    "tutorial": Recipe("tutorial", learning_rate=1e-4, cosine=False),
    "book": Recipe(
        learning_rate=2e-3, weight_decay=0.05, label_smoothing=0.1, subtract_mean=True, augment=True
    ),
}


@keras.saving.register_keras_serializable(package="helpers")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits and integer labels, with part of the probability spread over all classes (Szegedy et al. 2016).

    Args:
        label_smoothing: That part, from 0 to 1.
    """

    def __init__(self, label_smoothing=0.0, name="smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, labels, logits):
        classes = logits.shape[-1]
        wanted = (
            ops.one_hot(labels, classes) * (1 - self.label_smoothing)
            + self.label_smoothing / classes
        )
        return ops.categorical_crossentropy(wanted, logits, from_logits=True)

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing}


def build_model(recipe, settings):
    """Return the recipe's network for the settings' clips, with weights drawn from the recipe's seed."""
    keras.utils.set_random_seed(recipe.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.mixed else "float32")
    try:
        return NETWORKS[recipe.network](
            conv=recipe.conv, subtract_mean=recipe.subtract_mean, **settings.input_size
        )
    finally:
        keras.config.set_dtype_policy(before)


def compile_model(model, recipe, steps=None):
    """Give a network the recipe's optimiser and loss, and accuracy to watch; return it.

    Args:
        model: A network of logits.
        recipe: How it is trained.
        steps: Batches in the whole training; needed with `cosine` only.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if recipe.label_smoothing:
        loss = SmoothedCrossentropy(recipe.label_smoothing)
    model.compile(optimizer=_optimizer(recipe, steps), loss=loss, metrics=["accuracy"])
    return model


def learning_rate_schedule(recipe, steps):
    """Return the recipe's rate: a number, or with `cosine` what gives the rate of each step.

    Args:
        recipe: How a network is trained.
        steps: Batches in the whole training; needed with `cosine` only.
    """
    rate = recipe.learning_rate
    if not recipe.cosine:
        return rate
    rising = steps // 10
    return keras.optimizers.schedules.CosineDecay(
        rate / 100, steps - rising, warmup_target=rate, warmup_steps=rising
    )


def _optimizer(recipe, steps):
    rate = learning_rate_schedule(recipe, steps)
    if not recipe.weight_decay:
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
