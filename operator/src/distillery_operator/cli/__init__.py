"""The command ``distillery``.

main      its options and sub-commands
plan      what an experiment would do
terminal  what a person sees of a run
tryout    an experiment on a cluster, applied, followed and removed
"""
