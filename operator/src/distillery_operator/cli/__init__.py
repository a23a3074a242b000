"""The command ``distillery``: a module for each of its commands, which is called ``command``.

run, plan               search on this machine, and what a search would do; student_sizes knows how
                        large its models would be
status, report, export  look at results, of this machine or of a cluster
operator                ``distillery operator``, the process that watches a cluster; log_lines is
                        how its log looks
try_on_cluster          ``distillery try``: an experiment on a cluster, applied, followed, removed
dashboard               optuna-dashboard over all experiments of a database
migrate                 all studies of a database, brought to this release
completion              what lets a shell complete a command line
main                    puts them together, and turns what goes wrong into a sentence and a code
options                 the options that several commands share
chosen_results          ... and those that say which experiment's results are meant
exit_codes              what each exit code means
terminal                what a person sees of a search
output                  standard output, whatever it is

A command imports what it works with once it is called: `--help`, completion and wrong arguments
need none of it, and `distillery status` no database.
"""
