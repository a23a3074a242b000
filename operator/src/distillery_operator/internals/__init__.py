"""What is not public of the libraries and leaned on all the same, each with its reason.

of_kopf   storages of states that keep none, watches that come and go and outlive errors
of_optuna tables, names of attributes, classes

Nothing private of the kubernetes client is used. Tests of the same names state what is assumed of
each library, one by one: when a pin moves, the test that fails names what moved. This package
imports nothing of the operator.
"""
