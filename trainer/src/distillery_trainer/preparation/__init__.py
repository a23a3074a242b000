"""The stages ``describe`` and ``prepare``, once per experiment.

prepare    windows, and the teacher's logits on them
reading    questions and tokenizers, read, checked and cut
teaching   the teacher's metrics and logits
models     the models that a request names, and their folders
pinned     the models as they were then, copied for the trials
cache_key  the key of what is made of data and models
"""
