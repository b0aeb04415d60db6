"""What a chapter of the book teaches once and every later chapter imports.

Data flows one way, and a module imports only from those before it: settings, files, ucf101,
puppets, damage, video, archive, playback, cache, augmentation, batches, pipeline, counting, layers,
models, evaluation, saliency, recipes, records, training, predict, camera, timeline, plots,
diagrams.
"""

import os

# TensorFlow reports what it found of the machine on every start; only its warnings are for a
# reader.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
