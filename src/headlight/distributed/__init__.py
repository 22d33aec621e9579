"""Ray: embedding on many machines."""

from headlight.distributed.encoding import on_ray

__all__ = ["on_ray"]
