"""What bench/search.py lets compete: problems, contestants, and the clock that they run by.

* :mod:`problems`: what a training gives and takes, :mod:`synthetic` and :mod:`recorded`;
* :mod:`clock`: asynchronous workers in simulated time, for contestants that only suggest and stop;
* :mod:`samplers`: Optuna's samplers; :mod:`peer`: Syne Tune's MO-ASHA, by :mod:`syne` in its own
  environment;
* :mod:`ours`: the operator's own reconcile loop, on ports that keep simulated time;
* :mod:`figures`: hypervolumes and ratios; :mod:`picture`: the plot.
"""
