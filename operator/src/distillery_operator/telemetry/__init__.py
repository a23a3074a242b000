"""What Prometheus reads from the operator.

operator_metrics    how the operator does
experiment_metrics  how the experiments do
timed_study         a study whose operations are timed
"""
