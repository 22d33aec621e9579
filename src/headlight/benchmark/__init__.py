"""Standard benchmarks: published data sets, and all methods on the same features."""
