"""Distils question-answering models: `prepare` once, `train` per trial, `test` what is chosen.

The rooms, from the top down. A package imports only what stands below it.

fork_server      one process that forks those of trials, on one machine
process          one process: request, metrics, signals, exit code
stages           runs the stage of a request
training         the stages ``train`` and ``test``
preparation      the stages ``describe`` and ``prepare``
evaluation       from logits to the official metrics
data             questions as windows of tokens
students         models: read, built, saved and loaded
reporting        ``/metrics``, and an exposition that outlives the process
devices          where a model runs, and in which precision
hyperparameters  every hyperparameter of a trial, complete and typed
collect          the stage ``collect``: removes files
sealed           folders that say whether they are whole
atomic           files and folders that are there whole or not at all; locks
stop             signals
tiny             questions and a teacher of seconds, for tests and tries
"""
