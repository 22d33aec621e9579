"""Hostile and unlucky input, many at a time: no crash, no hang, no traceback, no silent error."""
