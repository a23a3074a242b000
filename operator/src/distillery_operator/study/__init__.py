"""The port of suggestions and results: ask, tell, load.

study       the study of one experiment, whose work is done in one thread
blocking    the same without threads: what is stored, and in memory
asking      which suggestions come next
belonging   whether a stored study is an experiment's own
notes       what else others have put there, in sentences
contents    what it holds, in memory
records     trials as they are stored, with versions
curves      learning curves as they are stored
specs       specs as they are stored: what must stay, and whose
rows        which trials are the experiment's own
database    the database of a process; a place for each experiment
server      connections to a server, and what a transaction begins with
tables      reading and writing Optuna's tables in one such place
opening     the study found there, or created
survey      all studies of a database
removal     studies that are removed
migration   tables and records of earlier releases
schema      the tables as a whole: making them, their versions
reading     all trials from the tables
statements  SQL
place       a schema or a file
workers     threads, for a database blocks

The loops open it, ``engine`` asks and tells. It imports ``search``.
"""
