"""Command line of the comparison: see `benchmarks.methods`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from benchmarks.methods import data, results
from benchmarks.methods.plot import plot
from benchmarks.methods.registry import load, names
from benchmarks.methods.table import table
from benchmarks.methods.worker import Job
from headlight.errors import HeadlightError
from headlight.runs.files import atomic

RESULTS = data.ROOT / "benchmarks" / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Fits what is not in the results yet, then writes the table and the plot."""
    options = _parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "methods.parquet"
    rows = results.read(file)
    if not options.table_only:
        try:
            jobs = list(_jobs(options))
        except (HeadlightError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if options.fresh:
            again = {results.key(job) for job, _ in jobs}
            rows = [row for row in rows if results.key(row) not in again]
        done = {results.key(row) for row in rows}
        jobs = [(row, job) for row, job in jobs if results.key(row) not in done]
        here = machine()
        for at, (row, job) in enumerate(jobs, 1):
            start = time.perf_counter()
            found = run(job, options.timeout)
            rows += [row | {"machine": here, "error": None} | one for one in found]
            results.write(file, rows)
            said = found[0].get("error") or f"ACC {found[0]['acc']:.3f}"
            spent = time.perf_counter() - start
            print(f"{at}/{len(jobs)} {' '.join(map(str, row.values()))}: {said} ({spent:.0f} s)")
    write(rows, options.out)
    return 0


def write(rows: list[results.Row], out: Path) -> None:
    """The table and the plot of all rows; without matplotlib no plot."""
    with atomic(out / "methods.md") as temporary:
        temporary.write_text(table(rows), "utf-8")
    try:
        plot(rows, out / "methods")
    except ModuleNotFoundError:
        print("no plot: pip install 'headlight-images[benchmarks]'", file=sys.stderr)
    print(f"{out / 'methods.md'}: {len(rows)} rows")


def run(job: Job, timeout: float) -> list[results.Row]:
    """One fit in a process of its own; where it fails, one row that says why."""
    command = [sys.executable, "-m", "benchmarks.methods.worker", job.to_json()]
    # The worker runs from the project's root, wherever this one was started from.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(data.ROOT), os.environ.get("PYTHONPATH", "")])
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return [{"split": "fit", "error": f"not done after {timeout:g} s"}]
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return [{"split": "fit", "error": lines[-1]}]


def _jobs(options: argparse.Namespace) -> Iterator[tuple[results.Row, Job]]:
    """What is asked for, a seed of every method before the next seed."""
    for spec in options.data:
        print(f"features of {spec}", flush=True)
        dataset = data.prepare(spec, options.cache)
        shape = np.load(dataset.fit.x, mmap_mode="r").shape
        single = len(shape) == 2 or shape[1] == 1
        for views in options.views:
            if views == "several" and single:
                print(f"{dataset.name} has one view: nothing to do for several")
                continue
            for balance in options.balance:
                aside = dataset.test if balance == "natural" else None
                for seed in range(options.seeds):
                    for method in options.methods:
                        if views not in getattr(load(method), "VIEWS", ("one",)):
                            continue
                        row = dict(
                            zip(
                                results.KEY,
                                (dataset.name, views, balance, method, seed),
                                strict=True,
                            )
                        )
                        yield (
                            row,
                            Job(
                                method,
                                str(dataset.fit.x),
                                str(dataset.fit.y),
                                views,
                                balance,
                                seed,
                                str(aside.x) if aside else None,
                                str(aside.y) if aside else None,
                            ),
                        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.methods", description=__doc__)
    parser.add_argument("--data", nargs="+", default=["digits"], help=data.prepare.__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--methods", nargs="+", choices=names(), default=names(), metavar="NAME")
    both = ["one", "several"]
    parser.add_argument("--views", nargs="+", choices=both, default=both)
    kinds = ["natural", "long-tailed"]
    parser.add_argument("--balance", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--cache", type=Path, default=data.CACHE, help="where features are kept")
    parser.add_argument("--timeout", type=float, default=1200, help="longest fit, seconds")
    parser.add_argument("--fresh", action="store_true", help="measure the selected methods again")
    parser.add_argument(
        "--table-only", action="store_true", help="only write table and plot from the results"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
