"""Commands that correct clusters without a browser: edit RUN rename, merge, move, …"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from headlight.cli.command import app, command, examples_shown
from headlight.cli.looking import REVIEW
from headlight.cli.options import AsJson, Debug, Quiet, RunFolder
from headlight.cli.printing import new_table, plain
from headlight.cli.terminal import Terminal
from headlight.counts import counted

if TYPE_CHECKING:
    from headlight.review import Review
    from headlight.review.changes import Change

EDITS, HISTORY = "Edits", "History"

Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="Number of a cluster, or its exact name.")
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Images: files, or their paths as in assignments.parquet."),
]
Remove = Annotated[bool, typer.Option("--remove", help="Remove the mark instead.")]


class _RunFirst(TyperGroup):
    """Says so if the run was forgotten: `headlight edit undo`."""

    def invoke(self, ctx: Any) -> Any:
        given: Path = ctx.params["run"]
        if str(given) in self.commands and not given.exists():
            ctx.fail(f"the run comes first: headlight edit RUN {given} …")
        return super().invoke(ctx)


edits = typer.Typer(cls=_RunFirst, no_args_is_help=True)
app.add_typer(
    edits,
    name="edit",
    rich_help_panel=REVIEW,
    epilog=examples_shown('edit photos.headlight rename 3 "Shoes"', "edit photos.headlight log"),
)


@edits.callback()
def edit(context: typer.Context, run: RunFolder) -> None:
    """Correct clusters from the command line or a script."""
    context.obj = run


@command(EDITS, 'edit photos.headlight rename 3 "Shoes"', to=edits)
def rename(
    context: typer.Context,
    group: Group,
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 200 letters.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Name a cluster."""
    from headlight.review import log
    from headlight.review.finding import find_cluster

    review = _opened(context)
    change = review.edit(log.rename(find_cluster(review.names, group), name))
    _report(Terminal(quiet, as_json), "rename", review, change)


@command(
    EDITS,
    "edit photos.headlight merge 3 7",
    "edit photos.headlight merge 7 12 --into Shoes",
    to=edits,
)
def merge(
    context: typer.Context,
    groups: Annotated[
        list[str],
        typer.Argument(metavar="GROUP", help="Numbers of clusters, or their exact names."),
    ],
    into: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="The one that stays; the first if omitted."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge clusters into one of them."""
    from headlight.review import log
    from headlight.review.finding import find_cluster

    review = _opened(context)
    asked = groups if into is None else [into, *groups]
    clusters = list(dict.fromkeys(find_cluster(review.names, group) for group in asked))
    change = review.edit(log.merge(clusters, clusters[0]))
    _report(Terminal(quiet, as_json), "merge", review, change)


@command(
    EDITS,
    "edit photos.headlight move Shoes 001.jpg 002.jpg",
    "edit photos.headlight move Boots 003.jpg --new",
    to=edits,
)
def move(
    context: typer.Context,
    group: Annotated[
        str,
        typer.Argument(
            metavar="GROUP", help="Number of a cluster, or its exact name; with --new a new name."
        ),
    ],
    files: Files,
    new: Annotated[bool, typer.Option("--new", help="Make a new cluster called GROUP.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Move images to a cluster, also to a new one."""
    from headlight.review import log
    from headlight.review.finding import find_cluster, find_rows

    review = _opened(context)
    cluster = None if new else find_cluster(review.names, group)
    rows = find_rows(review.run, files)
    if cluster is None:
        change = review.move_to_new(rows, group)
    else:
        change = review.edit(log.move({cluster: rows}))
    _report(Terminal(quiet, as_json), "move", review, change)


@command(EDITS, "edit photos.headlight split 4 --parts 3", to=edits)
def split(
    context: typer.Context,
    group: Group,
    parts: Annotated[int, typer.Option(metavar="N", help="Number of parts, 2 to 50.")] = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Split a cluster; the largest part keeps number and name."""
    import numpy as np

    from headlight.review.finding import find_cluster
    from headlight.review.splitting import split_rows
    from headlight.runs.projected import projected_rows

    review = _opened(context)
    cluster = find_cluster(review.names, group)
    members = np.flatnonzero(review.labels == cluster)
    labels = split_rows(projected_rows(review.run)[members], parts)
    change = review.split(cluster, members, labels)
    _report(Terminal(quiet, as_json), "split", review, change)


@command(EDITS, "edit photos.headlight outlier 001.jpg", to=edits)
def outlier(
    context: typer.Context,
    files: Files,
    remove: Remove = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Mark images as outliers, which belong to no cluster."""
    from headlight.review import log
    from headlight.review.finding import find_rows

    review = _opened(context)
    change = review.edit(log.mark_outliers(find_rows(review.run, files), not remove))
    _report(Terminal(quiet, as_json), "outlier", review, change)


@command(EDITS, "edit photos.headlight done 3", to=edits)
def done(
    context: typer.Context,
    group: Group,
    remove: Remove = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Mark a cluster as reviewed."""
    from headlight.review import log
    from headlight.review.finding import find_cluster

    review = _opened(context)
    change = review.edit(log.mark_done(find_cluster(review.names, group), not remove))
    _report(Terminal(quiet, as_json), "done", review, change)


@command(EDITS, "edit photos.headlight accept 9", to=edits)
def accept(
    context: typer.Context,
    group: Group,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Accept a group that an update proposed."""
    from headlight.review import log
    from headlight.review.finding import find_cluster

    review = _opened(context)
    change = review.edit(log.accept(find_cluster(review.names, group)))
    _report(Terminal(quiet, as_json), "accept", review, change)


@command(EDITS, "edit photos.headlight dismiss 9", to=edits)
def dismiss(
    context: typer.Context,
    group: Group,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Dismiss a proposed group; its images become outliers."""
    from headlight.review.finding import find_cluster

    review = _opened(context)
    change = review.dismiss(find_cluster(review.names, group))
    _report(Terminal(quiet, as_json), "dismiss", review, change)


@command(EDITS, "edit photos.headlight seen Shoes", "edit photos.headlight seen", to=edits)
def seen(
    context: typer.Context,
    groups: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GROUP]", help="Of which clusters; all if omitted."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Note that you have looked at new images."""
    import numpy as np

    from headlight.review import log
    from headlight.review.finding import find_cluster

    review = _opened(context)
    clusters = (
        [find_cluster(review.names, group) for group in groups] if groups else list(review.names)
    )
    rows = np.flatnonzero(review.unseen & np.isin(review.labels, clusters))
    change = review.edit(log.mark_seen(rows))
    _report(Terminal(quiet, as_json), "seen", review, change)


@command(HISTORY, "edit photos.headlight undo", to=edits)
def undo(
    context: typer.Context, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Undo the last edit in force."""
    review = _opened(context)
    _report(Terminal(quiet, as_json), "undo", review, review.undo())


@command(HISTORY, "edit photos.headlight redo", to=edits)
def redo(
    context: typer.Context, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Redo the last edit undone."""
    review = _opened(context)
    _report(Terminal(quiet, as_json), "redo", review, review.redo())


@command(HISTORY, "edit photos.headlight log", "edit photos.headlight log --json", to=edits)
def log(
    context: typer.Context, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """List all edits, and which of them are in force."""
    from headlight.review.log import clusters_of
    from headlight.review.wording import described

    terminal, review = Terminal(quiet, as_json), _opened(context)
    lines = [
        {
            "at": edit.get("at"),
            "edit": edit["edit"],
            "what": described(edit),
            "groups": clusters_of(edit),
            "in_force": in_force,
        }
        for edit, in_force in review.history
    ]
    table = new_table("time", "edit", "clusters", "in force", text=(0, 1, 2, 3))
    for line in lines:
        clusters = ", ".join(map(str, line["groups"]))
        cells = (str(line["at"]), line["what"], clusters, "yes" if line["in_force"] else "no")
        table.add_row(*map(plain, cells))
    if lines:
        terminal.table(table)
    terminal.result(f"{counted(review.n_edits, 'edit')} in force")
    _say_note(terminal, review)
    terminal.data({"log": lines} | _where(review))


def _opened(context: typer.Context) -> Review:
    from headlight.review import Review, load_run

    run: Path = context.obj
    return Review(load_run(run))


def _report(terminal: Terminal, command: str, review: Review, change: Change) -> None:
    """Print what an edit did; docs/explore.md describes the JSON."""
    from headlight.review.wording import described

    what = str(described(review.redoable if command == "undo" else review.undoable))
    touched = change.clusters(review.labels)
    groups: list[dict[str, Any]] = [
        {"id": c, "name": review.names[c], "size": int((review.labels == c).sum())}
        for c in touched
        if c in review.names
    ]
    gone = [c for c in touched if c not in review.names]
    terminal.result(f"{command}: {what}" if command in ("undo", "redo") else what)
    for group in groups:
        terminal.result(f"  {group['id']} {group['name']}: {counted(group['size'], 'image')}")
    if gone:
        terminal.result(f"  no longer there: {', '.join(map(str, gone))}")
    _say_note(terminal, review)
    terminal.data({"edit": command, "what": what, "groups": groups, "gone": gone} | _where(review))


def _say_note(terminal: Terminal, review: Review) -> None:
    if review.note:
        terminal.say(review.note)


def _where(review: Review) -> dict[str, object]:
    return {"run": str(review.run.path), "edits": review.n_edits, "version": review.version}
