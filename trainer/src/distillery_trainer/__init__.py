"""Distils question-answering models: `prepare` once per experiment, `train` once per trial."""
