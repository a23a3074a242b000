"""What to try next. Optuna is asked here, and stores nothing here.

suggester        the next suggestion
optuna_samplers  Optuna's samplers, as ``spec.sampler`` asks for them
grid_and_random  suggestions that look at no result: random, even, grid
own_points       baselines and a person's suggestions that have no trial yet
crossover        suggestions of TPE crossed with points of the front
choice           EHVI: of the points that may be trained next, the one that promises most
candidates       these points
promise          what each of them promises
hypervolume_gain how much a training is expected to add to the hypervolume
gaussian_process what trials came to, as a model with its doubt
duplicates       suggestions that repeat an earlier one
warm_start       trials of other experiments
expectation      what trials come to when they are trained again
reported         the front as it is reported, and the chance to stand on it
importance       how much each parameter decides
optuna_trials    trials as Optuna sees them

``engine``, ``study``, the report and the model card ask. It imports ``stopping`` and ``trials``.
"""
