"""The API server, and trainings as its Jobs.

runner            the port: start, list, stop
jobs              an attempt as a Job
pod_template      the pod made by a user's template, which documents and accelerators read
template_faults   ... what that template must be
template_rights   ... what it must not reach
default_template  ... what an administrator puts below it
errands           what needs the volume alone: removing files, reading a model
errand_jobs       an errand that removes files: started and waited for
marks             what is written into an experiment's metadata
attempts          a Job and its pod as an attempt: where it stands
outcomes          ... and, once ended, why
nodes             ... and, where its node does not answer, what frees it
wait_reasons      why attempts wait, from those who know; queues are Kueue's words
objects           what Jobs and pods say of themselves
cache             what the watches have shown; fresh looks anew where that may be late
kinds             what is watched
lease             which of a release's processes works
api               the calls; kubeconfig is a person's way to them
"""
