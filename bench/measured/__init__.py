"""What benches of a control plane share: bench/operator, and bench/katib.

* :mod:`setting`: a control plane, PostgreSQL, a pretend kubelet, and a watch of the bench's own;
* :mod:`jobs`: when that watch showed each trial's Job;
* :mod:`objects`: the search that is measured, and where objects are created;
* :mod:`operators`: Distillery's operator as a process, and what it says of itself;
* :mod:`commands`: how a program is run that is measured, and :mod:`usage`: what it has used;
* :mod:`figures`: percentiles.
"""
