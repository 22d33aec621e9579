"""Commands that compare encoders and methods: encoders, rank-encoders, benchmark."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from headlight.cli.command import command
from headlight.cli.options import (
    AsJson,
    Clusters,
    Debug,
    Device,
    EncoderName,
    Quiet,
    Source,
    Views,
)
from headlight.cli.printing import Stages, new_table, say_embedded, show_ranking
from headlight.cli.terminal import Terminal

COMPARE = "Encoders and benchmarks"


@command(COMPARE, "encoders")
def encoders(as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List encoders, and which of them are ready offline."""
    from dataclasses import asdict

    from rich.markup import escape

    from headlight.encoders.listing import HINTS, SPELLINGS, listed

    terminal = Terminal(quiet, as_json)
    rows = listed()
    table = new_table("encoder", "dim", "pixels", "params", "download", "needed first", text=(0, 5))
    for one in rows:
        numbers = (str(one.dim), str(one.input_size), f"{one.parameters:g} M")
        size = f"{one.megabytes} MB" if one.megabytes < 1000 else f"{one.megabytes / 1000:.1f} GB"
        download = "ready" if one.usable else size if one.megabytes else ""
        first = "" if one.missing[:1] == ("download",) else "".join(one.missing[:1])
        table.add_row(one.name, *numbers, download, escape(first))
    terminal.table(table)
    for line in HINTS:
        terminal.result(line)
    terminal.result("\nWhat else --encoder takes:")
    for spelling, meaning in SPELLINGS:
        terminal.result(f"  {spelling:34}{meaning}")
    terminal.data({"encoders": [asdict(one) for one in rows]})


@command(COMPARE, "rank-encoders ~/photos --encoders lite0,dinov2-small")
def rank_encoders(
    source: Source,
    encoders: Annotated[
        str,
        typer.Option(
            metavar="A,B,…", help="Names separated by commas; all that are on disk if omitted."
        ),
    ] = "",
    images: Annotated[int, typer.Option(metavar="N", help="Size of the sample.")] = 2000,
    k: Clusters = "auto",
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank encoders on a sample of your images, without labels."""
    from dataclasses import asdict

    from headlight.encoders.listing import listed
    from headlight.ranking import rank_encoders as rank

    terminal = Terminal(quiet, as_json)
    names = [name.strip() for name in encoders.split(",") if name.strip()]
    names = names or [one.name for one in listed() if one.usable]
    with Stages(terminal) as stages:
        ranked = rank(source, names, images=images, n_clusters=k, device=device, stage=stages)
    show_ranking(terminal, ranked)
    terminal.data({"encoders": [asdict(one) for one in ranked]})


@command(
    COMPARE,
    "benchmark cifar10 --data ~/data/cifar10",
    "benchmark stl10 --data ~/data/stl10 --recipe robust --seeds 5",
)
def benchmark(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="cifar10, cifar20, cifar100, stl10, imagenet10 or imagenet-dogs.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder with the data set's files, as published."),
    ],
    encoder: EncoderName = "lite0",
    views: Views = 2,
    recipe: Annotated[
        Literal["robust", "paper"] | None, typer.Option(help="One recipe only; both if omitted.")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Number of seeds, starting at 0.")] = 3,
    device: Device = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder for the features; ./DATASET.benchmark if omitted."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Also write the result to .md or .json."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare headlight with baselines on a published data set."""
    from headlight.benchmark.run import about, spread
    from headlight.benchmark.run import benchmark as run_all
    from headlight.evaluation import SCORES

    terminal = Terminal(quiet, as_json)
    with Stages(terminal) as stages:
        result = run_all(
            dataset,
            data,
            encoder=encoder,
            views=views,
            recipe=recipe,
            seeds=seeds,
            device=device,
            cache=cache,
            out=out,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
        )
    for note in result["notes"]:
        terminal.say(note)
    table = new_table("method", "ACC", "NMI", "ARI", "seconds per fit", text=(0,))
    for row in result["methods"]:
        scores = (spread(row[name]) for name in SCORES)
        table.add_row(row["method"], *scores, spread(row["seconds"], 1))
    terminal.table(table)
    terminal.result(about(result))
    terminal.data(result)
