"""What Prometheus reads from the operator.

operator_metrics    how the operator does
experiment_metrics  how the experiments do
pass_metrics        what a pass adds to the counters of an experiment
timed_study         a study whose operations are timed
"""
