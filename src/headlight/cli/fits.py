"""Commands about the fits of a run: fits, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headlight.cli.command import command
from headlight.cli.looking import REVIEW
from headlight.cli.options import AsJson, Debug, Quiet, RunFolder
from headlight.cli.printing import new_table, plain
from headlight.cli.terminal import Terminal
from headlight.counts import counted

if TYPE_CHECKING:
    from headlight.review.comparing import Comparison, Side
    from headlight.runs.info import FitInfo

SHOWN = 40  # flows in the table
TIME = "%Y-%m-%d %H:%M"

Fit = Annotated[
    str | None,
    typer.Argument(metavar="FIT", help="Id of a fit, or its beginning; `headlight fits` has them."),
]


@command(REVIEW, "fits photos.headlight")
def fits(
    run: RunFolder, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """List the fits of a run, of which one is current."""
    from headlight.review.fitting import edits_in_words
    from headlight.runs import fits_of, load_run, run_at

    terminal, opened = Terminal(quiet, as_json), load_run(run)
    table = new_table("fit", "saved", "asked", "clusters", "images", "edits", text=(0, 1, 5))
    rows = []
    for record, saved in fits_of(opened):
        current = record.id == opened.fit.id
        edits = edits_in_words(run_at(opened, record.id))
        cells = (f"{saved.astimezone():{TIME}}", _asked(record), f"{record.n_clusters:,}")
        name = f"{record.id} *" if current else record.id
        table.add_row(name, *cells, f"{record.images:,}", edits)
        rows.append(
            record.model_dump(mode="json", exclude_none=True, exclude={"files"})
            | {"saved": saved.isoformat(timespec="seconds"), "edits": edits, "current": current}
        )
    terminal.table(table)
    terminal.result(f"* is current; to go back to another: headlight fit {run} --restore FIT")
    terminal.data({"run": str(run), "fits": rows})


@command(
    REVIEW, "compare photos.headlight", "compare photos.headlight 2b0e0cf1d6a0b9c3 77d1 --json"
)
def compare(
    run: RunFolder,
    before: Fit = None,
    after: Fit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare two fits of a run; the last ones if omitted."""
    from headlight.review.comparing import compare_fits
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    found = compare_fits(load_run(run), before, after)
    moving = [flow for flow in found.flows if not flow.stays]
    table = new_table("before", "after", "images", "such as", text=(0, 1, 3))
    for flow in moving[:SHOWN]:
        ends = (_name(found.before, flow.before), _name(found.after, flow.after))
        examples = ", ".join(found.examples(flow, 2))
        table.add_row(*map(plain, ends), f"{len(flow.rows):,}", plain(examples))
    terminal.say(f"before: {_described(found.before)}; after: {_described(found.after)}")
    if moving:
        terminal.table(table)
    if len(moving) > SHOWN:
        terminal.result(f"… and {counted(len(moving) - SHOWN, 'smaller flow')}: --json has all")
    terminal.result(found.sentence)
    terminal.data({"run": str(run)} | _plain(found))


def _asked(fit: FitInfo) -> str:
    return f"-k {fit.asked}" + (f" --recipe {fit.recipe}" if fit.recipe != "robust" else "")


def _described(side: Side) -> str:
    return f"fit {side.fit.id} ({_asked(side.fit)})"


def _name(side: Side, group: int | None) -> str:
    return "(not there)" if group is None else side.names[group]


def _plain(found: Comparison) -> dict[str, Any]:
    """As docs/explore.md describes it."""

    def side(one: Side) -> dict[str, Any]:
        groups = [{"id": k, "name": name, "size": one.sizes[k]} for k, name in one.names.items()]
        return {"fit": one.fit.id, "groups": groups}

    return {
        "before": side(found.before),
        "after": side(found.after),
        "images": found.images,
        "changed": found.changed,
        "only_before": found.only_before,
        "only_after": found.only_after,
        "sentence": found.sentence,
        "families": [{"before": old, "after": new} for old, new in found.families],
        "flows": [
            {
                "before": flow.before,
                "after": flow.after,
                "images": len(flow.rows),
                "stays": flow.stays,
                "examples": found.examples(flow),
            }
            for flow in found.flows
        ],
    }
