"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Source = Annotated[
    str, typer.Argument(help="Folder, Parquet file with an image column, or: digits.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]


def _clusters(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto") from None


Clusters = Annotated[
    Any,
    typer.Option(
        "-k",
        "--clusters",
        parser=_clusters,
        metavar="N|auto",
        help="Number of clusters, at least 2; auto: as many as the features show.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("-o", help="Run folder; ./SOURCE_NAME.headlight if left out.")
]
EncoderName = Annotated[str, typer.Option("--encoder", help="See: headlight encoders.")]
Views = Annotated[int, typer.Option(help="Augmented views an image, beside the plain one.")]
ViewImages = Annotated[
    int | None,
    typer.Option(
        help="Images that get augmented views, a random sample; 4,000 if left out (paper: all)."
    ),
]
Recipe = Annotated[str, typer.Option(help="robust, or paper (SCP as published).")]
Seed = Annotated[int, typer.Option(help="Of everything random in training.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
