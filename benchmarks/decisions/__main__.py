"""Command line: see `benchmarks.decisions`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pyarrow as pa

import headlight.clustering
from benchmarks.decisions.choices import DECISIONS, SHIPPED, Decision, Option
from benchmarks.decisions.leave_one_out import Verdict, leave_one_out
from benchmarks.machine import machine
from benchmarks.methods import data, results
from benchmarks.methods.__main__ import RESULTS, prepared
from benchmarks.methods.scoring import scored
from benchmarks.methods.scp import fit_scp
from benchmarks.methods.table import markdown
from headlight import SCP
from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.runs.files import atomic

KEY = ("data", "balance", "seed", "settings")
SCHEMA = pa.schema(
    [
        ("data", pa.string()),
        ("balance", pa.string()),
        ("seed", pa.int32()),
        ("settings", pa.string()),  # all of them, as JSON
        *results.SCORES,
        ("code", pa.string()),  # digest of headlight.clustering
    ]
)
INTRODUCTION = """# Decisions, leave-one-set-out

`python -m benchmarks.decisions` made this from `decisions.parquet`. ACC with the true number of
clusters; the score of a data set is the mean over {balances} sizes, {seeds}.
Each set is left out in turn: the option with the best mean on the others is picked, and scored on
the one left out. *Leave-one-out* is the mean of these scores. What is shipped *survives* if neither
it nor the leave-one-out mean is below any fixed alternative; *worth* is the lower of the two minus
the best alternative.
"""


def main(argv: Sequence[str] | None = None, decisions: Sequence[Decision] = DECISIONS) -> int:
    """Fits what is not in the results yet, then writes the tables."""
    options = _parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only:
        decisions = [decision for decision in decisions if decision.name in options.only]
    wanted = {settings(one): one for decision in decisions for one in decision.options().values()}
    file = options.out / "decisions.parquet"
    rows = results.read(file, SCHEMA)
    here = {"machine": machine(), "code": code()}
    datasets = list(prepared(options.data, options.cache))
    for dataset in datasets:
        for balance in data.BALANCES:
            for seed in range(options.seeds):
                for text, option in wanted.items():
                    row = dict(zip(KEY, (dataset.name, balance, seed, text), strict=True))
                    old = [one for one in rows if _key(one) == _key(row)]
                    if old and not options.fresh:
                        continue
                    try:
                        features, classes = data.load(dataset.fit, option.views, balance)
                    except HeadlightError as error:  # no such views
                        print(f"{_short(option)} skipped: {error}", flush=True)
                        continue
                    row |= here | _measured(features, classes, seed, option)
                    rows = [one for one in rows if one not in old] + [row]
                    results.write(file, sorted(rows, key=_key), SCHEMA)
                    said = row["error"] or f"ACC {row['acc']:.3f}"
                    print(f"{dataset.name} {balance} {seed} {_short(option)}: {said}", flush=True)
    with atomic(options.out / "decisions.md") as temporary:
        names = {dataset.name for dataset in datasets}
        temporary.write_text(report(decisions, rows, names, options.seeds), "utf-8")
    print(f"{options.out / 'decisions.md'}: {len(rows)} rows")
    return 0


def build(option: Option, n_clusters: int, seed: int) -> SCP:
    """`SCP` with the parameters and constants of an option."""
    kind: Any = SCP
    if option.constants:
        constants = replace(kind.constants, **option.constants)
        kind = type("Variant", (SCP,), {"constants": constants})
    return kind(n_clusters, random_state=seed, **option.parameters)


def settings(option: Option) -> str:
    """All parameters, constants and the views of an option, as JSON.

    Rows are known by it, so that a fit that several decisions share is measured once, and what is
    shipped is measured again when it changes.
    """
    scp = build(option, 2, 0)
    parameters = scp.get_params()
    for name in ("n_clusters", "random_state", "device"):
        del parameters[name]
    constants = getattr(scp, "constants", None)
    found = {
        "parameters": parameters,
        "constants": asdict(constants) if constants else {},
        "views": option.views,
    }
    return json.dumps(found, sort_keys=True, default=str)


def code() -> str:
    """Digest of the source of `headlight.clustering`."""
    files = sorted(Path(headlight.clustering.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def report(
    decisions: Sequence[Decision], rows: list[results.Row], names: set[str], seeds: int
) -> str:
    """Markdown: a line for each decision, then each decision's data sets."""
    here = [row for row in rows if row["data"] in names and row["seed"] < seeds]
    overview, details = [], []
    for decision in decisions:
        scores, missing = _scores(decision, here, seeds)
        try:
            verdict = leave_one_out(decision.chosen, scores)
        except (KeyError, ValueError) as error:
            details.append(f"## {decision.name}\n\nNot decided: {error}.\n")
            continue
        overview.append(_line(decision, verdict))
        details.append(_section(decision, scores, verdict, missing))
    head = INTRODUCTION.format(balances=" and ".join(data.BALANCES), seeds=counted(seeds, "seed"))
    columns = ("decision", "shipped", "its mean", "leave-one-out", "alternatives", "worth")
    parts = [head, *(f"Machine: {one}\n" for one in sorted({row["machine"] for row in here}))]
    if (states := len({row["code"] for row in here})) > 1:
        parts.append(
            f"**Measured with {states} different states of the code**: `--fresh` mends it.\n"
        )
    return "\n".join([*parts, markdown((*columns, "survives"), overview), *details])


def _scores(
    decision: Decision, rows: list[results.Row], seeds: int
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """ACC of each option on each data set; and what is left out, in words.

    A data set counts where what is shipped was measured in full; an option, where it was measured
    on all of those.
    """
    full = seeds * len(data.BALANCES)
    found: dict[str, dict[str, float]] = {}
    for name, option in decision.options().items():
        text = settings(option)
        acc: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row["settings"] == text and row["error"] is None:
                acc[row["data"]].append(row["acc"])
        found[name] = {one: mean(values) for one, values in acc.items() if len(values) == full}
    sets = found[decision.chosen]
    missing = [
        f"{name} was not measured on {', '.join(sorted(sets.keys() - its.keys()))}"
        for name, its in found.items()
        if sets.keys() - its.keys()
    ]
    whole = {
        name: {one: its[one] for one in sets}
        for name, its in found.items()
        if sets.keys() <= its.keys()
    }
    return whole, missing


def _line(decision: Decision, verdict: Verdict) -> list[str]:
    means = {name: level for name, level in verdict.means.items() if name != decision.chosen}
    own = verdict.means[decision.chosen]
    worth = min(own, verdict.mean) - max(means.values()) if means else None
    return [
        decision.name,
        decision.chosen,
        f"{own:.4f}",
        f"{verdict.mean:.4f}",
        ", ".join(f"{name} {level:.4f}" for name, level in means.items()),
        "" if worth is None else f"{worth:+.4f}",
        "" if worth is None else "yes" if verdict.survives else "**no**",
    ]


def _section(
    decision: Decision,
    scores: dict[str, dict[str, float]],
    verdict: Verdict,
    missing: list[str],
) -> str:
    names = list(scores)
    lines = [
        [one, *(f"{scores[name][one]:.3f}" for name in names), picked, f"{score:.3f}"]
        for one, picked, score in zip(verdict.sets, verdict.picked, verdict.scores, strict=True)
    ]
    means = [f"{verdict.means[name]:.4f}" for name in names]
    lines.append(["**mean**", *means, "", f"{verdict.mean:.4f}"])
    header = ("left out", *names, "picked on the others", "its score")
    notes = "".join(f"\n{note}: not an option.\n" for note in missing)
    return f"## {decision.name}\n\n{markdown(header, lines)}{notes}"


def _measured(
    features: data.Features, classes: np.ndarray, seed: int, option: Option
) -> results.Row:
    try:
        scp = build(option, len(np.unique(classes)), seed)
        start = time.perf_counter()
        fit_scp(scp, features)
        seconds = time.perf_counter() - start
        confidence = scp.predict_proba(features.plain).max(axis=1)
    except Exception as error:  # an option may be impossible on some data
        return {"error": f"{type(error).__name__}: {error}"}
    return {"seconds": seconds, "error": None} | scored(classes, scp.labels_, confidence)


def _key(row: results.Row) -> tuple:
    return tuple(row[name] for name in KEY)


def _short(option: Option) -> str:
    changes = option.parameters | option.constants
    if option.views != SHIPPED.views:
        changes = changes | {"views": option.views}
    return ", ".join(f"{name}={value}" for name, value in changes.items()) or "as shipped"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--data", nargs="+", default=data.SETS, help="as of benchmarks.methods")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--only", nargs="+", metavar="DECISION", help="names of decisions (all)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--cache", type=Path, default=data.CACHE, help="where features are kept")
    parser.add_argument("--fresh", action="store_true", help="measure again what is selected")
    return parser


if __name__ == "__main__":
    sys.exit(main())
