"""Prepare a trained network for other programs. Taught in *Try your own video*."""

import keras


def as_float32(model: keras.Model) -> keras.Model:
    """Return a network that computes in float32 throughout, with the same weights.

    A network trained with `--mixed` computes in 16 bits, which few programs except TensorFlow
    support. A network that already computes in float32 is returned unchanged. A copy isn't
    compiled.

    Args:
        model: A functional or sequential network, or another one that can be created from its
            configuration.
    """
    config = model.get_config()
    in_float32 = _in_float32(config)
    if in_float32 == config:
        return model
    before = keras.config.dtype_policy()
    # The configuration of a nested network contains no dtype policy.
    keras.config.set_dtype_policy("float32")
    try:
        copy = type(model).from_config(in_float32)
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(model.get_weights())
    return copy


def _in_float32(config):
    """Return a configuration with every 16-bit dtype replaced by float32, in nested layers too."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_16_bit(value) else _in_float32(value)
            for key, value in config.items()
        }
    return type(config)(map(_in_float32, config)) if type(config) in (list, tuple) else config


def _is_16_bit(dtype):
    """Return whether a dtype, or a saved dtype policy, has 16 bits."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return isinstance(name, str) and name.endswith(("float16", "bfloat16"))
