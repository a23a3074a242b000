"""Searches for the best small model of a DistillationExperiment.

The rooms, from the top down. A package imports only what stands below it; ``make check`` holds
that.

cli           the command ``distillery``
controller    the operator's process: watches, queue, visits, events
local         the same on one machine: trainings as processes, the loop of ``distillery run``
report        the HTML page of an experiment
results       how people get at results, here and on a cluster
telemetry     the operator and its experiments as metrics
cluster       the API server: trainings as Jobs
measurements  what trainings expose
study         suggestions and results in a database
engine        what an experiment needs next (read ``engine.decide`` first)
search        what to try next
stopping      which trainings end early
trials        what is known of trainings, and how good they are
resource      what a user writes and reads back
errors        what can go wrong
internals     what is not public of the libraries and leaned on all the same
"""
