"""What the Distillery operator and its trainers say to each other.

Standard library only, so that both sides can import it and a trainer in another image can read it
as the specification:

* :mod:`distillery_contract.wire`: environment variables, exit codes, the port;
* :mod:`distillery_contract.parameters`: every hyperparameter, its bounds and default;
* :mod:`distillery_contract.request`: the one JSON document that tells a trainer what to do;
* :mod:`distillery_contract.metrics`: every metric that a trainer exposes, and which may be
  objectives;
* :mod:`distillery_contract.rungs`: where in a training its trials are compared;
* :mod:`distillery_contract.size`: the parameter count of a student, before it exists.
"""
