"""What several tests share.

worlds, shapes, searches   made-up experiments: their resources, their Jobs and pods, their trials
ports, broken              the suites that implementations of a port pass; sockets that misbehave
quick_trainer              a trainer that takes a second; expositions are what it exposes
cluster                    a real Kubernetes on this machine; clusters says what is missing
spaces, operators, kubelet  a namespace in it, an operator for it, and a pretend kubelet
stack                      everything at once, as a platform team has it
charts                     the chart, rendered by Helm
postgres, prometheus       their servers; monitoring, discovery: how Prometheus finds trials
browser                    Chromium, driven by selenium
virtual_time, calls        an event loop that waits for nothing; work as a count of calls
documentation              the commands that the documents tell a reader to type
oracle                     transformers 4, for parity
"""
