"""What `python bench/katib` lets compete: Distillery's operator and Katib, on the same ground.

* :mod:`side`: what is measured of either;
* :mod:`ours`: Distillery's operator;
* :mod:`theirs`: Katib's controller, DB manager and suggestion services, and :mod:`resources`: what
  they are told by;
* :mod:`push`: how trials' metrics reach Katib;
* :mod:`environment`: Katib's Python, in which :mod:`suggest` and :mod:`report` run;
* :mod:`apart`: a network and folders of their own, for Katib's addresses are fixed;
* :mod:`measure`: one search with many finished trials, and many searches at once;
* :mod:`compare`: ratios, the tables, the record of what was measured;
* :mod:`command`: the command line.
"""
