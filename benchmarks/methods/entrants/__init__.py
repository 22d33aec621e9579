"""The methods compared, one short file each; see `benchmarks.methods`."""
