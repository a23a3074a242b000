"""The stages ``train`` and ``test``. docs/trainer.md shows one step of it in a picture.

train       the training, top to bottom: read this first
schedule    which group of batches, and which learning rate, at which step
step        one step of the optimiser
loss        the formulas of the losses
relations   the relation loss of a batch
optimizer   AdamW, as the hyperparameters want it
replay      steps of a GPU as CUDA graphs
checkpoint  everything that a training needs to go on
writer      checkpoints are written, on a GPU beside the training
history     what was measured, for people and for the next attempt
held_out    a trained student on the test questions, once
trial_folder  what another request has left there is put aside
"""
