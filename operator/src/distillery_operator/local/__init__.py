"""An experiment on one machine.

run     the loop of ``distillery run``
runner  the port: trainings as processes of this machine
pruning    what nobody owns in a workspace
attendant  the shell that runs a trainer, and the signals that both get
"""
