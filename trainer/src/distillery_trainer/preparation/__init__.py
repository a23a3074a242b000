"""The stages ``describe`` and ``prepare``, once per experiment.

prepare  features, and the teacher's logits on them
sources  where data and models are, and the key of what is made of them
"""
