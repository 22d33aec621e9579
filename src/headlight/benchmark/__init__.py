"""The benchmarks of the literature: published data sets, and every method on the same features."""
