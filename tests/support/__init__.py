"""What several tests share.

tiers, parts               which tests are fast; what the others need, and how a bench asks for it
programs                   where programs come from: found here, built or installed
fixtures                   fixtures of all tests: clusters, servers, small models

worlds, shapes, searches   made-up experiments: their resources, their Jobs and pods, their trials
templates                  Jobs as the operator renders them, from a silent and a rich pod template
ports, broken              the suites that implementations of a port pass; sockets that misbehave
quick_trainer              a trainer that takes a second; expositions are what it exposes
command_line               `distillery` in this process, and a workspace with results
cluster                    a real Kubernetes on this machine, and the images that run there
spaces, operators, kubelet  a namespace in it, an operator for it, and a pretend kubelet
beside, ledgers, witness   an operator beside a real node; each step done; an onlooker of its trials
kueue, sidecars, half_open  Kueue itself; a webhook that adds to every pod; watches that fall silent
ends, jobs_in_memory       what is left of experiments; the Jobs that remove it
stack                      everything at once, as a platform team has it
charts                     the chart, rendered by Helm
postgres, prometheus       their servers; monitoring, discovery: how Prometheus finds trials
browser                    Chromium, driven by selenium
virtual_time, calls        an event loop that waits for nothing; work as a count of calls
documentation              the commands that the documents tell a reader to type
oracle                     transformers 4, for parity
"""
