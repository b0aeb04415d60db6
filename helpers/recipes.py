"""Recipes: a network and its training method. Taught in *Train* and *Improve the recipe*."""

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import KerasTensor, ops

from helpers import models
from helpers.augmentation import Augmentation
from helpers.efficientnet import build_efficientnet_lite0
from helpers.movinet import build_movinet_a0
from helpers.pretrained import TORCHVISION, load_published
from helpers.settings import Settings

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "small_resnet": models.build_small_resnet,
    "tutorial": models.build_tutorial_model,
    "resnet18": models.build_resnet18,
    "movinet_a0": build_movinet_a0,
    "efficientnet_lite0": partial(build_efficientnet_lite0, deviation=True),
}
# Networks whose kind of convolutions is given.
_FIXED = ("movinet_a0", "efficientnet_lite0")
# What a linear classifier on a frozen network has none of.
_OF_TRAINING = ("learning_rate", "cosine", "weight_decay", "label_smoothing", "augment", "seed")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A network and its training method; `helpers.settings.Settings` has the clips and their sizes.

    Args:
        network: A key of `NETWORKS`.
        conv: Kind of its convolutions: `"2plus1d"`, `"3d"`, `"mc3"` or `"2d"`.
        learning_rate: Learning rate of Adam; with `cosine` the maximum.
        cosine: Whether the learning rate rises over the first tenth of the training, then falls to
            zero along a cosine.
        weight_decay: Weight decay of AdamW: a step subtracts this share of each kernel, times the
            learning rate.
        label_smoothing: Share of the target probability that is spread over all classes.
        subtract_mean: Whether the network subtracts the clip's mean frame from each frame.
        augment: Whether to flip, crop and recolour training clips at random.
        mixed: Whether to compute in 16 bits where that is safe; weights have 32.
        balance: Whether the loss weights each training clip by the inverse of its class's share of
            the clips, so that all classes count the same.
        pretrained: Whether the network starts from published weights. They stay as they are, and a
            linear classifier is fitted to the features before the logits.
        fine_tune: Which layers of a pretrained network are then trained: `"all"`, or those from the
            first one on whose name begins with this text, such as `"block5"`.
        seed: Seed of initial weights, order of clips, start frames and augmentation.

    Raises:
        ValueError: The arguments contradict each other.
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
    balance: bool = False
    pretrained: bool = False
    fine_tune: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise a ValueError if the recipe contradicts itself."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        if self.fine_tune and not self.pretrained:
            raise ValueError("Only a pretrained network can be fine-tuned; set pretrained, too.")
        changed = [name for name in _OF_TRAINING if getattr(self, name) != defaults[name]]
        if self.is_frozen and changed:
            raise ValueError(
                f"A linear classifier on a frozen network has no {', '.join(changed)}; leave out "
                "what sets this (in a shell also --recipe), or fine-tune the network (--fine-tune)."
            )
        if not re.fullmatch(r"\w*", self.fine_tune):
            raise ValueError(f"{self.fine_tune!r} is no name of a layer; use one such as block5.")
        if self.pretrained and self.subtract_mean:
            raise ValueError(
                "A pretrained network expects complete frames; leave out subtract_mean (in a shell "
                "add --without subtract_mean)."
            )
        if self.network in _FIXED and (self.conv != defaults["conv"] or self.subtract_mean):
            raise ValueError(
                f"{self.network} has convolutions of its own and doesn't subtract the mean frame; "
                "leave out conv and subtract_mean (in a shell --conv, and with --recipe book add "
                "--without subtract_mean)."
            )

    @property
    def name(self) -> str:
        """Name for folders and messages, such as `"small_resnet-2plus1d-0.001-seed0"`."""
        parts = [self.network] if self.network in _FIXED else [self.network, self.conv]
        parts += [f"fine_tuned_{self.fine_tune}"] if self.fine_tune else []
        parts += ["frozen"] if self.is_frozen else [f"{self.learning_rate:g}"]
        return "-".join([*parts, f"seed{self.seed}"])

    @property
    def is_frozen(self) -> bool:
        """Whether nothing but a linear classifier is trained."""
        return self.pretrained and not self.fine_tune

    @property
    def augmentation(self) -> Augmentation | None:
        """Augmentation of the training clips, or None."""
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
    """Cross-entropy with label smoothing (Szegedy et al. 2016), for logits and integer labels.

    Args:
        label_smoothing: Share of the target probability that is spread over all classes, 0 to 1.
        name: Name of the loss.
        **kwargs: Further arguments of `keras.losses.Loss`.
    """

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "smoothed_crossentropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, labels: KerasTensor, logits: KerasTensor) -> KerasTensor:
        n_classes = logits.shape[-1]
        share = self.label_smoothing / n_classes
        targets = ops.one_hot(labels, n_classes) * (1 - self.label_smoothing) + share
        return ops.categorical_crossentropy(targets, logits, from_logits=True)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_smoothing": self.label_smoothing}


def build_model(recipe: Recipe, settings: Settings) -> keras.Model:
    """Build the recipe's network for clips of the settings' size.

    Args:
        recipe: The network, its precision, and the seed of its initial weights.
        settings: What `helpers.settings.current()` returns.

    Returns:
        A network that is not compiled yet.

    Raises:
        ValueError: The network has no convolutions of the recipe's kind, or the published weights
            can't be had.
    """
    options: dict[str, Any] = {}
    if recipe.network not in _FIXED:
        options = {"conv": recipe.conv, "subtract_mean": recipe.subtract_mean}
    if recipe.pretrained and recipe.network == "resnet18":
        options |= TORCHVISION
    keras.utils.set_random_seed(recipe.seed)
    previous_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.mixed else "float32")
    try:
        model = NETWORKS[recipe.network](**options, **settings.input_size)
    finally:
        keras.config.set_dtype_policy(previous_policy)
    if recipe.pretrained:
        load_published(model)
        freeze(model, recipe.fine_tune or "logits")
    return model


def freeze(model: keras.Model, first: str) -> keras.Model:
    """Choose which layers of a pretrained network a training changes.

    Batch normalisation isn't trained: averages over a few clips would replace those over hundreds
    of thousands.

    Args:
        model: A network.
        first: The layers from the first one on whose name begins with this text are trained;
            `"all"` trains all.

    Returns:
        The same network.

    Raises:
        ValueError: No layer has such a name.
    """
    names = ["all" if first == "all" else layer.name for layer in model.layers]
    begin = next((i for i, name in enumerate(names) if name.startswith(first)), None)
    if begin is None:
        raise ValueError(
            f"{model.name} has no layer whose name begins with {first}; its names begin with "
            f"{', '.join(dict.fromkeys(layer.name.split('_')[0] for layer in model.layers))}."
        )
    for i, layer in enumerate(model.layers):
        layer.trainable = i >= begin
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return model


def compile_model(model: keras.Model, recipe: Recipe, steps: int | None = None) -> keras.Model:
    """Compile a network with the recipe's optimiser and loss, and accuracy as its metric.

    Args:
        model: A network whose outputs are logits.
        recipe: The training method.
        steps: Batches in the complete training; needed only with `cosine`.

    Returns:
        The same network.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if recipe.label_smoothing:
        loss = SmoothedCrossentropy(recipe.label_smoothing)
    model.compile(optimizer=_optimizer(recipe, steps), loss=loss, metrics=["accuracy"])
    # TensorFlow traces a training step twice if the first time creates variables.
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, keras.ops.zeros(1), keras.ops.zeros((1, model.output_shape[-1])))
    model.reset_metrics()
    return model


def reset_model(model: keras.Model, recipe: Recipe, settings: Settings) -> keras.Model:
    """Give a compiled network the state that building and compiling it again would give it.

    It then trains as a new network would, but is not traced and compiled again, which takes longer
    than a short training.

    Args:
        model: A network from `build_model` and `compile_model`.
        recipe: The recipe that it was built and compiled with; only the seed may be another.
        settings: The settings that it was built with.

    Returns:
        The same network.
    """
    model.set_weights(build_model(recipe, settings).get_weights())
    # With a schedule, this is no variable.
    rate = model.optimizer.learning_rate
    for variable in model.optimizer.variables:
        if variable is not rate:
            variable.assign(keras.ops.zeros_like(variable))
    return model


def learning_rate_schedule(
    recipe: Recipe, steps: int | None
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the recipe's learning rate: a number, or with `cosine` a schedule over all steps.

    The schedule rises from a hundredth of the learning rate over the first tenth of the steps, then
    falls to zero along a cosine (Loshchilov and Hutter 2017).

    Args:
        recipe: The training method.
        steps: Batches in the complete training; needed only with `cosine`.

    Raises:
        ValueError: The recipe has a cosine schedule, and `steps` is None.
    """
    rate = recipe.learning_rate
    if not recipe.cosine:
        return rate
    if steps is None:
        raise ValueError("A cosine schedule depends on the length of the training; pass steps.")
    warmup = steps // 10
    return keras.optimizers.schedules.CosineDecay(
        rate / 100, steps - warmup, warmup_target=rate, warmup_steps=warmup
    )


def _optimizer(recipe, steps):
    """Return Adam, or with weight decay AdamW, which spares all but kernels."""
    rate = learning_rate_schedule(recipe, steps)
    if not recipe.weight_decay:
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "gain"])
    return optimizer
