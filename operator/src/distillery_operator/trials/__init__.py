"""What is known of trainings, and how good they are. All of it is pure.

trial           a suggestion and what came of it
attempt         a process that works on a trial, and what it exposes
past_attempt    what the study keeps of an attempt
provenance      what made a result
observation     everything that a decision rests on
caps            what a namespace may use
learning_curve  what a curve tells at a rung
feasibility     is a trial acceptable, and if not, why
pareto          the constrained front, its hypervolume and its knee
verdicts        how all trials of a moment are judged, taken over from the moment before
hypervolume     the corner that hypervolumes are measured from

Everything above imports it. It imports ``resource``.
"""
