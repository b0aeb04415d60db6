"""A trained network for other programs. Taught in the chapter *Try your own video*."""

import keras


def as_float32(model):
    """Return a network that computes in float32 throughout, with the same weights, such as an export needs.

    Few programs but TensorFlow know the 16 bits in which a network trained with `--mixed` computes. One that computes in float32
    already is returned as it is; a copy isn't compiled.

    Args:
        model: A functional or sequential network, or another one that can be made anew from its configuration.
    """
    config = model.get_config()
    in_float32 = _in_float32(config)
    if in_float32 == config:
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(
        "float32"
    )  # networks in a network have no precision of their own in the configuration
    try:
        copy = type(model).from_config(in_float32)
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(model.get_weights())
    return copy


def _in_float32(config):
    """Return a configuration with every 16-bit precision in it, of layers in layers too, replaced by float32."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_16_bit(value) else _in_float32(value)
            for key, value in config.items()
        }
    return type(config)(map(_in_float32, config)) if type(config) in (list, tuple) else config


def _is_16_bit(dtype):
    """Return whether a dtype, or a dtype policy as it is saved, is of 16 bits."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return isinstance(name, str) and name.endswith(("float16", "bfloat16"))
