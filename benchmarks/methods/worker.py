"""One fit, alone in its process: ``python -m benchmarks.methods.worker JOB``, JOB as JSON.

The last line it prints is its result, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods.data import Split, load
from benchmarks.methods.registry import load as load_method
from headlight.evaluation import score

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Job:
    """What to fit, and on what.

    Arguments:
        test_x, test_y: images kept aside, for methods that predict; or None.
    """

    method: str
    x: str
    y: str
    views: str
    balance: str
    seed: int
    test_x: str | None = None
    test_y: str | None = None

    def to_json(self) -> str:
        """As the worker takes it."""
        return json.dumps(asdict(self))


def main(job: Job) -> list[dict[str, Any]]:
    """Fits and judges.

    Returns:
        A row of results for each split.
    """
    method = load_method(job.method)
    features, classes = load(Split(Path(job.x), Path(job.y)), job.views, job.balance)
    n_clusters = int(classes.max()) + 1
    if getattr(method, "WARM_UP", False):
        warm_up(method, len(features))
    before = _reset_peak()
    start = time.perf_counter()
    fitted = method.fit(features, n_clusters, job.seed)
    seconds = time.perf_counter() - start
    growth = (_memory("VmHWM") - before) / 2**20
    common = {"n_clusters": n_clusters, "seconds": seconds, "memory_mib": growth}
    rows = [_judged("fit", classes, fitted.labels) | common]
    if job.test_x and job.test_y and fitted.predict:
        images, truth = load(Split(Path(job.test_x), Path(job.test_y)), "one", "natural")
        rows.append(_judged("test", truth, fitted.predict(images)) | common)
    return rows


def warm_up(method: Any, n: int) -> None:
    """Compiles what will be needed: fits random data of few dimensions.

    UMAP and EVōC go other ways on little data than on much (from 4,096 rows on).
    """
    rng = np.random.default_rng(0)
    rows = 4500 if n > 4096 and not method.NAME.startswith("headlight") else 400
    views = 2 if "several" in getattr(method, "VIEWS", ()) else 1
    centres = rng.standard_normal((4, 1, 16))
    points = centres[np.arange(rows) % 4] + 0.3 * rng.standard_normal((rows, views, 16))
    method.fit(points.astype(np.float32), 4, 0)


def _judged(split: str, classes: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    if labels.shape != classes.shape:
        raise ValueError(f"{len(classes)} rows were given, labels have shape {labels.shape}")
    found = len(np.unique(labels[labels >= 0]))
    noise = float((labels < 0).mean())
    return {"split": split, "n": len(labels), "found": found, "noise": noise} | score(
        classes, labels
    )


def _reset_peak() -> int:
    """Makes the peak of resident memory start from here; returns what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    result = main(Job(**json.loads(sys.argv[1])))
    print("\n" + json.dumps(result))
