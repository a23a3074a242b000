"""What a user writes and reads back; it knows no trial.

experiment        the resource, whole
spec              what is wanted; its parts data, teacher, student, parameter, sampler,
                  early_stopping, baseline, suggestion, confirm
status            what Distillery writes back
fields            the types of all fields
parsing           documents in, every fault out; sentences has the words
python_rules      what the definition cannot say
suggestion_rules  a person's own points: which may run, and what they get where they say nothing
space             the search space: what is active, which values, how many points
yaml_files        experiments and statuses as files
files             files and folders that appear whole or not at all
label_names       labels and annotations of what is made for an experiment
crd               the CustomResourceDefinition, and its rules as they are checked here

Everything above imports it. It imports the contract and ``errors``.
"""
