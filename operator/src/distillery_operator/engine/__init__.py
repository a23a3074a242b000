"""What an experiment needs next. Pure, but for ``reconcile`` and ``visit``.

decide        an observation in, one decision out: read this first
preparation   the stage before all trials
confirming    further trainings of the front with other seeds, once the search is over
testing       the stage after the search: what it has chosen, on questions nobody has looked at
endings       how trials end, and what follows an attempt that has ended
memory        what the study has to keep of attempts
trainers      what made the results, and whether another trainer would make the next
housekeeping  what is no longer needed
sidecars      containers that outlive a trainer
budgets       whether a search may go on; usage is what it has used
actions       what a decision asks for; reasons are its words
reconcile     gather, decide, apply: one pass
visit         as many passes as there is something to do at once
ports         what a pass needs of the world: runner, measurements, study
requests      what a trainer is asked for
status        what the status says; conditions are its sentences, shown its trials
statistics    what dashboards and alerts need besides

The loops in ``controller`` and ``local`` visit. It imports ``search`` and what lies below.
"""
