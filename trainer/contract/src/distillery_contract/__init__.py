"""What the Distillery operator and its trainers say to each other.

It imports the standard library alone, so both sides can import it. It is the specification for
whoever writes another trainer:

* :mod:`distillery_contract.wire`: environment variables, exit codes, the port;
* :mod:`distillery_contract.parameters`: every hyperparameter, its bounds and default;
* :mod:`distillery_contract.request`: the one JSON document that tells a trainer what to do;
* :mod:`distillery_contract.codec`: reads and writes it;
* :mod:`distillery_contract.metrics`: every metric that a trainer exposes, and which may be
  objectives;
* :mod:`distillery_contract.pinned`: what is pinned for an experiment, and how it is named;
* :mod:`distillery_contract.listening`: the addresses that its servers listen at;
* :mod:`distillery_contract.rungs`: where in a training its trials are compared;
* :mod:`distillery_contract.size`: the parameter count of a student, before it exists.

And what both sides need on one machine:

* :mod:`distillery_contract.attendant`: runs a trainer and writes down how it ended;
* :mod:`distillery_contract.forks`: trainers as forks of one process.
"""
