"""The operator's process.

process       everything that runs in it, put together
health        answers to probes
watches       kopf, as an informer
namespaces    where it looks: namespaces that come, refuse and go
api_retries   for how long the API server may fail
resync        what the watches have missed
work_queue    which experiment to visit next
controller    one visit; session is what is kept until the next
settings      how the operator was started
caps          what the caps of a namespace leave to one experiment
claims        what is this operator's, and what another's; ownership decides
pruning       what nobody owns on a cluster
finished      whether its study need not be read
deletion      the end of an experiment whose study is deleted with it
events        what is told of actions and conditions
event_writer  ... to the log and the API server
status_writer what an experiment's status says, to the API server and as metrics
"""
