"""Which trainings end early, and which stopped ones go on after all. All of it is pure.

rule             asks the others, as ``spec.earlyStopping`` says
front_aware      those that will not improve the front; forecast foresees their end
hyperparameters  the forecast that knows nothing of the training itself
asha             those that too many others have beaten at a rung
collapse         those whose model answers nothing, or everything
measuring        at which rungs a trial is evaluated for all that
reasons          what is said of a stop, and which stops may be taken back

``engine`` and ``search`` ask. It imports ``trials``.
"""
