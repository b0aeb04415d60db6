"""What a chapter of the book teaches once and every later chapter imports.

A module imports only from those before it, on this page from left to right and from top to bottom:

data: settings, ucf101, clips, puppets, archive, damage, video, cache, augmentation, batches,
    pipeline
networks: counting, layers, models, probabilities
experiment: recipes, records, checkpoints, memory, evaluation, training
application: playback, annotation, predict, camera, export, saliency
pictures: plots, diagrams, timeline

Any of them may use the two small supports: atomic (whole files, locks) and hashing.
"""

import os

# TensorFlow reports what it found of the machine on every start; only its warnings are for a reader.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
