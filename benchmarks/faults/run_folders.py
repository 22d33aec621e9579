"""Run folders with one file damaged, and everything that reads them.

    python -m benchmarks.faults.run_folders --count 200 --seed 0

A run of 40 images, reviewed and with labels, is copied, one of its files is changed (bytes, length,
swapped, deleted; in ``run.json`` also values and types), and in a process of its own the run is
loaded, reviewed, reported, exported, shown, predicted with, and opened in the app. Each of these
must end as ``same`` (as of the whole run) or ``refused`` (a HeadlightError of one line, or the app
says why it is read-only). Anything else is listed and the command exits with 1: tracebacks, hangs,
crashes, and results that differ without a word.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headlight.errors import HeadlightError

SECONDS = 120  # for all actions on one folder, which take some three
VALUES: list[Any] = [None, "", "x", -1, 0, 7, 1.5, True, [], [1], {}, {"a": 1}, "../..", 10**30]
Outcome = dict[str, str]


def main() -> None:
    """Damages, runs, prints what each action said of each folder that should not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this one mutation, in this process")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        run = make(base)
        whole = act(run, base / "out")
        if whole != act(run, base / "out"):
            raise SystemExit("the whole run does not give the same twice")
        if wrong := {a: said for a, said in whole.items() if not said.startswith("result")}:
            raise SystemExit(f"the whole run fails: {wrong}")
        numbers = range(given.count) if given.only is None else [given.only]
        totals: collections.Counter[str] = collections.Counter()
        faults = 0
        for number in numbers:
            rng = np.random.default_rng([given.seed, number])
            folder = Path(shutil.copytree(run, base / f"{number}.headlight"))
            what, by_hand = mutate(folder, rng)
            alone = act if given.only is not None else in_a_process
            found = judge(alone(folder, base / "out"), whole, by_hand)
            totals.update(f"{action}: {said}" for action, (said, _) in found.items())
            bad = {a: s for a, s in found.items() if s[0] not in ("same", "refused", "by hand")}
            faults += bool(bad)
            for action, (said, details) in bad.items():
                print(f"{number} {what}: {action}: {said}\n{details}", flush=True)
            shutil.rmtree(folder)
    for line, count in sorted(totals.items()):
        print(f"{count:5} {line}")
    print(f"{given.count} run folders, {faults} with a fault")
    sys.exit(bool(faults))


def make(base: Path) -> Path:
    """A reviewed run of 40 images of four colours."""
    from headlight.images import open_source
    from headlight.review import evaluate
    from headlight.review.log import mark_done, mark_outliers, merge, move, rename
    from headlight.review.review import review
    from headlight.runs import embed_run, fit_run, load_run

    rng = np.random.default_rng(0)
    for kind, colours in {"red": [0], "green": [1], "blue": [2], "grey": [0, 1, 2]}.items():
        (base / "photos" / kind).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 90, (64, 64, 3), np.uint8)
            pixels[..., colours] += 120
            Image.fromarray(pixels).save(base / "photos" / kind / f"{i}.png")
    (base / "photos" / "broken.png").write_bytes(b"\x89PNG")
    path = base / "photos.headlight"
    fit_run(embed_run(open_source(base / "photos"), path, views=1, device="cpu")[0], 4)
    now = review(load_run(path))
    now.edit(rename(0, "first"))
    now.edit(move({1: np.array([0, 3])}))
    now.edit(mark_outliers(np.array([5]), True))
    now.edit(mark_done(0, True))
    now.edit(merge([2, 3], 2))
    now.undo()
    evaluate(path, "folder")
    return path


def mutate(run: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """Damages one file of the run; returns what was done, and whether a user might mean it."""
    if rng.random() < 0.35:
        return _mutate_record(run, rng)
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.suffix not in (".lock", ".html"))
    file = files[rng.integers(len(files))]
    where = file.relative_to(run)
    data = bytearray(file.read_bytes())
    how = str(rng.choice(["flip", "flips", "cut", "empty", "delete", "swap"]))
    if how == "delete":
        file.unlink()
    elif how == "swap":
        other = files[rng.integers(len(files))]
        shutil.copyfile(other, file) if other != file else file.unlink()
        how = f"replaced by {other.relative_to(run)}"
    elif how == "cut" and data:
        file.write_bytes(data[: rng.integers(len(data))])
    elif how == "empty" or not data:
        file.write_bytes(b"")
    else:
        for _ in range(1 if how == "flip" else rng.integers(2, 12)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        file.write_bytes(data)
    return f"{where}: {how}", False


def _mutate_record(run: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """Another value, type, or nothing, in ``run.json``; with its old checksum or without any."""
    file = run / "run.json"
    info = json.loads(file.read_text("utf-8"))
    by_hand = bool(rng.random() < 0.6)
    if by_hand:
        del info["checksum"]
    place: Any = info
    path = []
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = list(keys)[rng.integers(len(keys))]
        path.append(str(key))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
            break
        place = place[key]
    value = VALUES[rng.integers(len(VALUES))]
    if rng.random() < 0.2 and isinstance(place, dict):
        del place[key]
        change = "deleted"
    else:
        place[key] = value
        change = f"= {value!r}"
    file.write_text(json.dumps(info), "utf-8")
    return f"run.json: {'.'.join(path)} {change}{', no checksum' * by_hand}", by_hand


def act(run: Path, out: Path) -> Outcome:
    """What each action on the run ends with: a hash of its result, or the error."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    found = {}
    for name, action in ACTIONS.items():
        try:
            said = f"result {action(run, out)}"
        except HeadlightError as error:
            said = f"refused {error}"
        except BaseException:
            said = f"traceback {traceback.format_exc()}"
        found[name] = said.replace(str(run), "RUN")
    return found


def _load(run: Path, out: Path) -> str:
    from headlight.runs import load_run

    opened = load_run(run)
    return _hash(repr(opened), str(opened.assignments), str(opened.quarantine), run)


def _review(run: Path, out: Path) -> str:
    from headlight.review.review import review
    from headlight.runs import load_run

    now = review(load_run(run))
    return _hash(now.labels.tobytes(), str(now.names), str(now.outlier), str(now.done), run)


def _report(run: Path, out: Path) -> str:
    from headlight.explore import write_report
    from headlight.runs import load_run

    return _hash(write_report(load_run(run)).read_text("utf-8"), run)


def _export(run: Path, out: Path) -> str:
    from headlight.export import export_run
    from headlight.runs import load_run

    opened = load_run(run)
    files = [export_run(opened, kind, out / f"x.{kind}").path for kind in ("csv", "json")]
    return _hash(*(file.read_text("utf-8") for file in files), run)


def _show(run: Path, out: Path) -> str:
    from headlight.review.notebook import run_html
    from headlight.runs import load_run

    html = run_html(load_run(run))
    if f"<b>{run}</b>: " in html:  # an error, shown in its place
        raise HeadlightError(html)
    return _hash(html, run)


def _predict(run: Path, out: Path) -> str:
    from headlight.images import open_source
    from headlight.review import load_run, predict_run

    photos = run.parent / "photos" / "red"
    predict_run(load_run(run), open_source(photos), out / "p.csv", "cpu")
    return _hash((out / "p.csv").read_text("utf-8"), run)


def _evaluate(run: Path, out: Path) -> str:
    from headlight.review import evaluate

    return _hash(str(evaluate(run, "folder")), run)


def _app(run: Path, out: Path) -> str:
    from headlight.explore.app.session import Session

    session = Session(run)
    try:
        state = session.state()
        if state["read_only"]:
            raise HeadlightError(state["read_only"])
        rows = session.rows(state["clusters"][0]["id"], "certain")
        del state["mark"]  # made of the folder's name
        return _hash(json.dumps(state), rows.tobytes(), run)
    finally:
        session.close()


ACTIONS: dict[str, Callable[[Path, Path], str]] = {
    "load": _load,
    "review": _review,
    "evaluate": _evaluate,
    "report": _report,
    "export": _export,
    "show": _show,
    "app": _app,
    "predict": _predict,
}


def _hash(*parts: str | bytes | Path) -> str:
    """Of the parts before the last, the run, whose name is left out."""
    *texts, run = parts
    digest = hashlib.sha256()
    for text in texts:
        assert not isinstance(text, Path)
        raw = text if isinstance(text, bytes) else text.encode()
        digest.update(
            raw.replace(str(run).encode(), b"RUN").replace(Path(str(run)).name.encode(), b"RUN")
        )
    return digest.hexdigest()[:12]


def in_a_process(run: Path, out: Path) -> Outcome:
    """`act` where it can't take this process along."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.faults.preload"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, run, out))
    process.start()
    theirs.close()
    try:
        if not ours.poll(SECONDS):
            return {"all": f"hang of {SECONDS} s"}
        return ours.recv()
    except EOFError:
        process.join()
        return {"all": f"crash {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def _send(pipe: Any, run: Path, out: Path) -> None:
    pipe.send(act(run, out))


def judge(found: Outcome, whole: Outcome, by_hand: bool) -> dict[str, tuple[str, str]]:
    """Verdict and details of each action."""
    verdicts = {}
    for action, said in found.items():
        kind, _, details = said.partition(" ")
        if kind == "refused" and "\n" in details:
            kind = "several lines"
        elif kind == "result":
            kind = "same" if said == whole[action] else "by hand" if by_hand else "differs"
        verdicts[action] = kind, details
    return verdicts


if __name__ == "__main__":
    main()
