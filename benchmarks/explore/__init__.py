"""What report and review app cost on large runs."""
