"""Random and awkward input of ``SCP.fit``, each judged by what a user would see.

    python -m benchmarks.faults.fit_inputs --count 300 --seed 0

Inputs run in subprocesses, several in each; a process that dies or hangs names the input it was at.
Outcomes: ``ok``; ``refused`` (a ValueError of one sentence); ``wrong`` (labels, probabilities or an
easy partition that can't be right), ``traceback`` (any other exception), ``crash``, ``hang``.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np

SECONDS = 150  # for one input
BATCH = 10  # inputs per process
Input = tuple[np.ndarray, int | str, np.ndarray | None]
"""X, n_clusters, and true labels where the groups can't be missed."""


def equal_rows(rng: np.random.Generator) -> Input:
    """A placeholder image a thousand times, and others around it."""
    n, dim = int(rng.choice([500, 3_000, 10_011, 12_000])), int(rng.integers(8, 80))
    base = rng.normal(size=dim)
    X = np.repeat(base[None], n, 0)
    other = int(n * rng.uniform(0.05, 0.6))
    X[:other] += rng.normal(size=(other, dim))
    rng.shuffle(X)
    return X.astype(np.float32), int(rng.integers(2, 12)), None


def lumps(rng: np.random.Generator) -> Input:
    """Tight groups far from one another: the graph falls into pieces."""
    k, dim = int(rng.integers(2, 24)), int(rng.integers(16, 120))
    n = int(rng.choice([600, 4_000, 15_000]))
    centres = rng.normal(size=(k, dim)) * 100
    truth = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    X = centres[truth] + rng.normal(size=(n, dim))
    return X.astype(np.float32), k, truth


def offset(rng: np.random.Generator) -> Input:
    """Groups far from the origin, where float32 has few digits left."""
    k, dim, n = int(rng.integers(2, 8)), int(rng.integers(16, 64)), 1_200
    truth = np.arange(n) % k
    X = rng.normal(size=(k, dim))[truth] * 5 + rng.normal(size=(n, dim))
    return X + 10.0 ** rng.integers(2, 7), k, truth


def antipodal(rng: np.random.Generator) -> Input:
    """Rows and their opposites."""
    n, dim = int(rng.choice([200, 2_000, 10_500])), int(rng.integers(4, 40))
    X = rng.normal(size=(n // 2, dim))
    return np.concatenate([X, -X]).astype(np.float32), int(rng.integers(2, 20)), None


def scales(rng: np.random.Generator) -> Input:
    """Features whose sizes differ by twelve orders."""
    n, dim = int(rng.integers(50, 2_000)), int(rng.integers(4, 60))
    return (
        rng.normal(size=(n, dim)) * 10.0 ** rng.uniform(-6, 6, dim),
        int(rng.integers(2, 9)),
        None,
    )


def bits(rng: np.random.Generator) -> Input:
    """Booleans."""
    return rng.random((int(rng.integers(40, 2_000)), 24)) < rng.uniform(0.05, 0.9), 4, None


def integers(rng: np.random.Generator) -> Input:
    """Bytes, of which few values occur: many ties."""
    return rng.integers(0, 3, (int(rng.integers(40, 3_000)), 6), np.uint8), 5, None


def halves(rng: np.random.Generator) -> Input:
    """float16 near its end."""
    X = rng.normal(size=(int(rng.integers(40, 2_000)), 32)) * 10.0 ** rng.uniform(-6, 4.5)
    return X.clip(-65_504, 65_504).astype(np.float16), int(rng.integers(2, 9)), None


def tiny(rng: np.random.Generator) -> Input:
    """Hardly more rows than clusters."""
    n = int(rng.integers(2, 40))
    return rng.normal(size=(n, int(rng.integers(1, 20)))), int(rng.integers(2, n + 1)), None


def near_n(rng: np.random.Generator) -> Input:
    """As many clusters as rows, or nearly."""
    n = int(rng.integers(100, 450))
    return rng.normal(size=(n, 16)), n - int(rng.integers(0, 4)), None


def same_views(rng: np.random.Generator) -> Input:
    """Views that don't differ from the plain row."""
    X = rng.normal(size=(int(rng.integers(50, 3_000)), 1, 32)).astype(np.float32)
    return np.repeat(X, 3, axis=1), int(rng.integers(2, 9)), None


def constant_columns(rng: np.random.Generator) -> Input:
    """Most features say nothing."""
    X = np.full((int(rng.integers(50, 2_000)), 64), rng.normal())
    X[:, : int(rng.integers(1, 5))] = rng.normal(size=(len(X), 1))
    return X, int(rng.integers(2, 4)), None


def on_a_line(rng: np.random.Generator) -> Input:
    """All rows on one line."""
    return rng.normal(size=(500, 1)) * rng.normal(size=(1, 30)), "auto", None


def few_distinct(rng: np.random.Generator) -> Input:
    """Each row many times over."""
    distinct = int(rng.integers(2, 12))
    truth = np.arange(int(rng.integers(100, 12_000))) % distinct
    X = rng.normal(size=(distinct, 32))[truth]
    return X.astype(np.float32), distinct, truth


def not_finite(rng: np.random.Generator) -> Input:
    """One bad number."""
    X = rng.normal(size=(300, 8))
    X[rng.integers(300), rng.integers(8)] = rng.choice([np.nan, np.inf, -np.inf, 1e300])
    return X, 3, None


def all_equal(rng: np.random.Generator) -> Input:
    """Nothing to tell apart."""
    return np.ones((int(rng.integers(2, 11_000)), 16)), 2, None


def too_many(rng: np.random.Generator) -> Input:
    """More clusters than distinct rows."""
    X = rng.normal(size=(5, 8))[rng.integers(5, size=200)]
    return X, int(rng.integers(6, 50)), None


def uneven(rng: np.random.Generator) -> Input:
    """One group of thousands, one of a dozen; the number is to be found."""
    sizes = [int(rng.integers(2_000, 9_000)), 12, 300]
    truth = np.repeat(np.arange(3), sizes)
    X = rng.normal(size=(3, 48))[truth] * 12 + rng.normal(size=(len(truth), 48))
    return X.astype(np.float32), str(rng.choice(["auto"])), None


KINDS: tuple[Callable[[np.random.Generator], Input], ...] = (
    equal_rows,
    lumps,
    offset,
    antipodal,
    scales,
    bits,
    integers,
    halves,
    tiny,
    near_n,
    same_views,
    constant_columns,
    on_a_line,
    few_distinct,
    not_finite,
    all_equal,
    too_many,
    uneven,
)


def make(number: int, seed: int) -> tuple[str, Input]:
    """The input with this number."""
    kind = KINDS[number % len(KINDS)]
    return kind.__name__, kind(np.random.default_rng([seed, number]))


def judge(X: np.ndarray, k: int | str, truth: np.ndarray | None) -> tuple[str, str]:
    """Outcome and why."""
    from sklearn.metrics import adjusted_rand_score

    from headlight.clustering import SCP

    before = X.copy()
    scp = SCP(k, random_state=0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scp.fit(X)
        probabilities = scp.predict_proba(X)
        again = scp.predict(X)
    except ValueError as error:
        text = str(error)
        return ("refused", text) if "\n" not in text else ("traceback", f"several lines: {text}")
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    labels, given = scp.labels_, scp.n_clusters_
    sizes = np.bincount(labels, minlength=given)
    # The head sees directions from the mean: as many clusters as there are of those.
    plain = X if X.ndim == 2 else X[:, 0]
    rows = scp.projection_(_tensor(plain)).numpy()
    directions = len(np.unique(rows.round(5), axis=0))
    faults = {
        "X was changed": not np.array_equal(before, X, equal_nan=True),
        "labels out of range": bool(labels.min() < 0 or labels.max() >= given),
        "another number of clusters": k not in ("auto", given),
        f"{(sizes == 0).sum()} of {given} clusters empty": bool(
            (sizes == 0).any() and directions >= given
        ),
        "predict is not labels_": not np.array_equal(again, labels),
        "probabilities don't sum to 1": not np.allclose(probabilities.sum(1), 1, atol=1e-3),
        "equal rows in different clusters": _split_equal(plain, labels),
        "temperature": not np.isfinite(scp.temperature_),
    }
    if truth is not None and (ari := adjusted_rand_score(truth, labels)) < 0.9:
        faults[f"ARI {ari:.2f} on groups that can't be missed"] = True
    why = "; ".join(fault for fault, there in faults.items() if there)
    return ("wrong", why) if why else ("ok", "")


def _tensor(rows: np.ndarray):  # type: ignore[no-untyped-def]
    import torch

    return torch.from_numpy(rows.astype(np.float32))


def _split_equal(rows: np.ndarray, labels: np.ndarray) -> bool:
    _, which = np.unique(rows, axis=0, return_inverse=True)
    return len(np.unique(np.stack([which.ravel(), labels]), axis=1).T) > which.max() + 1


def work(numbers: list[int], seed: int) -> None:
    """Judges inputs one after the other; a line before and a line after each."""
    for number in numbers:
        print(json.dumps({"at": number}), flush=True)
        kind, given = make(number, seed)
        outcome, why = judge(*given)
        shape = f"{given[0].shape} {given[0].dtype} k={given[1]}"
        print(
            json.dumps({"n": number, "kind": kind, "is": outcome, "why": why, "X": shape}),
            flush=True,
        )


def run(numbers: list[int], seed: int) -> list[dict[str, object]]:
    """What came of the inputs, in a process that may die."""
    done: list[dict[str, object]] = []
    while numbers:
        command = [sys.executable, "-m", "benchmarks.faults.fit_inputs", "--work"]
        command += [*map(str, numbers), "--seed", str(seed)]
        ended, out = "crash", ""
        try:
            process = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS * len(numbers), check=False
            )
            out, code = process.stdout, process.returncode
            ended = f"crash (exit {code})"
        except subprocess.TimeoutExpired as error:
            out, ended = (error.stdout or b"").decode(), "hang"
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        results = [line for line in lines if "is" in line]
        done += results
        numbers = numbers[len(results) :]
        if numbers:
            kind, given = make(numbers[0], seed)
            done.append(
                {
                    "n": numbers[0],
                    "kind": kind,
                    "is": ended.split(" ")[0],
                    "why": ended,
                    "X": f"{given[0].shape} k={given[1]}",
                }
            )
            numbers = numbers[1:]
    return done


def main() -> None:
    """Runs all, prints what is not in order, and ends with 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=int, nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        return work(options.work, options.seed)
    counts: collections.Counter[str] = collections.Counter()
    for first in range(0, options.count, BATCH):
        for result in run(list(range(first, min(first + BATCH, options.count))), options.seed):
            counts[str(result["is"])] += 1
            if result["is"] not in ("ok", "refused"):
                print(result, flush=True)
    print(dict(counts))
    sys.exit(bool(counts.keys() - {"ok", "refused"}))


if __name__ == "__main__":
    main()
