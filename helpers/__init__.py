"""The book's helpers: a chapter teaches each of them once, and later chapters import it.

A module imports only from the modules before it, in this order:

data: settings, ucf101, clips, splits, puppets, archive, damage, video, playback, cache,
    augmentation, batches, pipeline, inspection
networks: layers, counting, models, state_dict, efficientnet, movinet, pretrained, probabilities
experiment: recipes, records, checkpoints, memory, evaluation, own_clips, transfer, training
application: annotation, predict, camera, export, saliency
pictures: plots, diagrams, timeline

Any of them may use two supports: atomic (complete files, locks) and hashing.
"""

import os

# Hide TensorFlow's report about the machine on every start, and keep its warnings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
