"""The command ``distillery``.

main      its options and sub-commands
migrate   all studies of a database, brought to this release
plan      what an experiment would do
terminal  what a person sees of a run
tryout    an experiment on a cluster, applied, followed and removed
"""
