"""Run folders: creating, fitting and reading them."""

from headlight.runs.embedding import embed_run
from headlight.runs.fits import fits_of, restore_fit, run_at
from headlight.runs.fitting import check_clusters, fit_run, refuse_other_fit
from headlight.runs.relocating import refuse_other_source, relocate_run
from headlight.runs.run import Run, load_run

__all__ = [
    "Run",
    "check_clusters",
    "embed_run",
    "fit_run",
    "fits_of",
    "load_run",
    "refuse_other_fit",
    "refuse_other_source",
    "relocate_run",
    "restore_fit",
    "run_at",
]
