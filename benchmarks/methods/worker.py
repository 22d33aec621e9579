"""Fits of one data set in turn, in one process: ``python -m benchmarks.methods.worker WORK``.

WORK is JSON. For each fit one line is printed, its rows of results as JSON, as soon as it is done.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.methods.data import Features, load
from benchmarks.methods.registry import load as load_method
from benchmarks.methods.scoring import scored

# Unlike the number alone, never used again.
PROCESS = f"{time.time():.0f}-{os.getpid()}"


class Fit(NamedTuple):
    """One fit: a method, the kind of views (`data.VIEWS`), a seed."""

    method: str
    views: str
    seed: int


@dataclass(frozen=True)
class Work:
    """What to fit, and on what.

    Arguments:
        x: file of features (`data.prepare`).
        test: the same of images kept aside, for methods that predict; or None.
        balance: see `data.load`.
        memory: measure memory, and nothing else: of the only fit, for memory that an earlier one
            gave back would be used again.
    """

    x: str
    test: str | None
    balance: str
    fits: list[Fit]
    memory: bool = False

    def to_json(self) -> str:
        """As the worker takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Work:
        """The inverse of `to_json`."""
        work = json.loads(text)
        return cls(**work | {"fits": [Fit(*fit) for fit in work["fits"]]})


def main(work: Work) -> None:
    """Fits and scores, and prints; a fit that fails is a row that says why."""
    for name in sorted({fit.method for fit in work.fits}):
        if getattr(load_method(name), "WARM_UP", False):
            warm_up(name, len(load(Path(work.x), "none", work.balance)[1]))
    for fit in work.fits:
        try:
            rows = _measured_memory(work, fit) if work.memory else _measured(work, fit)
        except Exception as error:  # any method's own
            rows = [{"split": "fit", "error": f"{type(error).__name__}: {error}"}]
        print("\n" + json.dumps(rows), flush=True)
        gc.collect()


def warm_up(name: str, n: int) -> None:
    """Imports and compiles what will be needed: fits random data of few dimensions.

    UMAP and EVōC go other ways on little data than on much (from 4,096 rows on).
    """
    rng = np.random.default_rng(0)
    rows = 4500 if n > 4096 and not name.startswith("headlight") else 400
    centres = rng.standard_normal((4, 1, 16))
    points = centres[np.arange(rows) % 4] + 0.3 * rng.standard_normal((rows, 2, 16))
    points = points.astype(np.float32)
    method = load_method(name)
    viewed = np.arange(rows) if getattr(method, "WITH_VIEWS", False) else np.arange(0)
    method.fit(Features(points[:, 0], points[viewed, 1:], viewed), 4, 0)


def _measured(work: Work, fit: Fit) -> list[dict[str, Any]]:
    method = load_method(fit.method)
    features, classes = load(Path(work.x), fit.views, work.balance)
    start = time.perf_counter()
    fitted = method.fit(features, len(np.unique(classes)), fit.seed)
    seconds = time.perf_counter() - start
    common = {"seconds": seconds, "process": PROCESS, "input_mib": _mib(features)} | fitted.count
    confidence = fitted.confidence(features.plain) if fitted.confidence else None
    rows = [{"split": "fit"} | common | scored(classes, fitted.labels, confidence)]
    if work.test and fitted.predict:
        others, truth = load(Path(work.test), "none", "natural")
        confidence = fitted.confidence(others.plain) if fitted.confidence else None
        judged = scored(truth, fitted.predict(others.plain), confidence)
        rows.append({"split": "test"} | common | judged)
    return rows


def _measured_memory(work: Work, fit: Fit) -> list[dict[str, Any]]:
    method = load_method(fit.method)
    features, classes = load(Path(work.x), fit.views, work.balance)
    gc.collect()
    # The peak of resident memory counts from here on.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    method.fit(features, len(np.unique(classes)), fit.seed)
    return [{"memory_mib": (_status("VmHWM") - before) / 2**20}]


def _mib(features: Features) -> float:
    return (features.plain.nbytes + features.views.nbytes) / 2**20


def _status(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main(Work.from_json(sys.argv[1]))
