"""Is each choice of the method worth it on images that it was not chosen on?

    python -m benchmarks.decisions

`choices.py` lists the decisions: what is shipped, and what could be instead. Every option is fitted
on every data set (natural and long-tailed, three seeds, the true number of clusters), with the
features of `benchmarks.methods`. Then each data set is left out in turn: the option with the best
mean ACC on the others is chosen, and scored on the one left out. The mean of these scores is what
choosing in this way gives on images never looked at.
"""
