"""An experiment on one machine.

run          the loop of ``distillery run``
runner       the port: trainings as processes of this machine
pruning      what nobody owns in a workspace
fork_server  the process that forks the trainers of trials
processes    the process that attends a trainer, and the signals that end both
"""
