"""The stage ``train``.

train       the training, top to bottom: read this first
schedule    which batch and learning rate when
step        one step of the optimiser
loss        hard, soft and relation loss
replay      steps of a GPU as CUDA graphs
checkpoint  everything that a training needs to go on
history     what was measured, for people and for the next attempt
"""
