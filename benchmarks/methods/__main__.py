"""Command line of the comparison: see `benchmarks.methods`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.methods import data, results
from benchmarks.methods.registry import names, takes
from benchmarks.methods.runner import run
from benchmarks.methods.summary import AUTO, OURS, REFERENCES
from benchmarks.methods.table import table
from benchmarks.methods.worker import Fit, Work
from headlight.errors import HeadlightError
from headlight.runs.files import atomic

RESULTS = data.ROOT / "benchmarks" / "results"
DEFAULT = (OURS, AUTO, *REFERENCES)


def main(argv: Sequence[str] | None = None) -> int:
    """Fits what is not in the results yet, then writes the tables."""
    options = _parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "methods.parquet"
    rows = results.read(file)
    if not options.table_only:
        datasets = list(prepared(options.data, options.cache))
        if not datasets:
            print("error: no data", file=sys.stderr)
            return 1
        for dataset in datasets:
            for balance in options.balance:
                rows = _measure(dataset, balance, options, rows)
    with atomic(options.out / "methods.md") as temporary:
        temporary.write_text(table(rows), "utf-8")
    print(f"{options.out / 'methods.md'}: {len(rows)} rows")
    return 0


def prepared(specs: Iterable[str], cache: Path) -> Iterator[data.Dataset]:
    """The data sets that are there; says which are not, and why."""
    for spec in specs:
        try:
            print(f"features of {spec}", flush=True)
            yield data.prepare(spec, cache)
        except (HeadlightError, OSError) as error:
            print(f"{spec} skipped: {error}", flush=True)


def _measure(
    dataset: data.Dataset, balance: str, options: argparse.Namespace, rows: list[results.Row]
) -> list[results.Row]:
    """The rows with those of one data set; written after each fit."""

    def key(fit: Fit) -> tuple:
        return dataset.name, balance, fit.views, fit.method, fit.seed

    fits = list(_fits(dataset, options))
    if options.fresh:
        again = {key(fit) for fit in fits}
        rows = [row for row in rows if results.key(row) not in again]
    done = {results.key(row) for row in rows}
    fits = [fit for fit in fits if key(fit) not in done]
    if not fits:
        return rows
    aside = str(dataset.test) if dataset.test and balance == "natural" else None
    work = Work(str(dataset.fit), aside, balance, fits)
    memory = _memory(work, options.timeout) if balance == "natural" else {}
    here, start = machine(), time.perf_counter()
    for at, (fit, found) in enumerate(run(work, options.timeout), 1):
        known = dict(zip(results.KEY, key(fit), strict=True))
        known |= {"machine": here, "error": None, "memory_mib": memory.get(fit)}
        rows = [*rows, *(known | one for one in found)]
        results.write(options.out / "methods.parquet", sorted(rows, key=_order))
        said = found[0].get("error") or f"ACC {found[0]['acc']:.3f}"
        spent = time.perf_counter() - start
        print(f"{dataset.name} {balance} {at}/{len(fits)} {' '.join(map(str, fit))}: {said}")
        print(f"    {spent:.0f} s in all", flush=True)
    # As read from the file: rows then have all columns.
    return results.read(options.out / "methods.parquet")


def _memory(work: Work, timeout: float) -> dict[Fit, float | None]:
    """Growth in MiB of each method's fit with seed 0, each in a process of its own."""
    found: dict[Fit, float | None] = {}
    for fit in work.fits:
        if fit.seed == 0:
            alone = Work(work.x, None, work.balance, [fit], memory=True)
            for _, (row,) in run(alone, timeout):
                found[fit] = row.get("memory_mib")
    return found


def _fits(dataset: data.Dataset, options: argparse.Namespace) -> Iterator[Fit]:
    """What is asked for, a seed of every method before the next seed."""
    kinds = options.views if data.has_views(dataset.fit) else ["none"]
    methods = names() if options.methods == ["all"] else options.methods
    for seed in range(options.seeds):
        for method in methods:
            for views in kinds:
                if takes(method, views):
                    yield Fit(method, views, seed)


def _order(row: results.Row) -> tuple:
    return (*results.key(row), row["split"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.methods", description=__doc__)
    parser.add_argument(
        "--data", nargs="+", default=data.SETS, help="names, folders, Parquet files, .npz"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument(
        "--methods", nargs="+", choices=["all", *names()], default=DEFAULT, metavar="NAME"
    )
    kinds = ["none", "gentle"]
    parser.add_argument("--views", nargs="+", choices=data.VIEWS, default=kinds)
    parser.add_argument("--balance", nargs="+", choices=data.BALANCES, default=data.BALANCES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--cache", type=Path, default=data.CACHE, help="where features are kept")
    parser.add_argument("--timeout", type=float, default=1200, help="longest fit, seconds")
    parser.add_argument("--fresh", action="store_true", help="measure the selected methods again")
    parser.add_argument("--table-only", action="store_true", help="only write the tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
