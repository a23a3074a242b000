"""What bench/search.py lets compete: problems, contestants, and the clock that they run by.

* :mod:`problems`: what a training gives and takes; :mod:`recorded`, :mod:`synthetic`, :mod:`graph`;
* :mod:`clock`: asynchronous workers in simulated time, for contestants that only suggest and stop;
* :mod:`contestants`: who competes, and what each knows: :mod:`samplers` of Optuna; :mod:`peer`, for
  those of other libraries, :mod:`syne` and :mod:`nehvi` in environments of their own; :mod:`ours`,
  the operator's own reconcile loop on ports that keep simulated time;
* :mod:`truth`: volumes, and the best true front; :mod:`score`: what a search came to;
* :mod:`store`: finished searches; :mod:`comparison`: tables; :mod:`picture`: the plot.
"""
