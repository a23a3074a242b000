"""What an experiment needs next. All of it is pure but ``reconcile``.

decide       an observation in, actions out: read this first
actions      what a decision asks for
budgets      whether a search may go on; effort is what it has used
reconcile    gather, decide, apply: one pass
ports        what a pass needs of the world: runner, measurements, study
requests     what a trainer is asked for
status       what the status says; conditions are its sentences
statistics   what dashboards and alerts need besides

The loops in ``controller`` and ``local`` call it. It imports ``search`` and what lies below.
"""
