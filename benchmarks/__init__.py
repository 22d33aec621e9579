"""Comparisons with peers and references; each module is one command."""
