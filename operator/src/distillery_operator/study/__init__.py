"""The port of suggestions and results: ask, tell, load.

study     the study of one experiment
records   trials as they are stored
database  connections; a place for each experiment
tables    reading and writing Optuna's tables in one such place
schema    that these tables are there, and which Optuna's they are
workers   threads, for a database blocks

The loops open it, ``engine`` asks and tells. It imports ``search``.
"""
