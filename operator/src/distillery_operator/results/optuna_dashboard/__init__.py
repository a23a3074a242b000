"""optuna-dashboard over all experiments of a database, for looking only.

app      the web server
storage  the experiments as the studies of one read-only storage
"""
