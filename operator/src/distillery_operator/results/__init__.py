"""How people get at the results of an experiment, and at its models.

results           what can be asked of results, wherever they are; export
local             ... from the workspace of this machine
cluster           ... from a cluster, by kubeconfig; archive unpacks the model
model_card        what lies beside an exported model
trials_document   all trials as one JSON document
trials_server     ... which the operator serves
optuna_dashboard  all experiments of a database, for looking
"""
