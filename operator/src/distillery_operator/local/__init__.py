"""An experiment on one machine.

runner  the port: trainings as processes of this machine
"""
