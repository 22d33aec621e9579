"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Folder of images, Parquet or tar file or a folder of them, list of paths or URLs "
        "(.txt, .csv), URL of any of these (s3://, gs://, az://, hf://, https://), or: digits.",
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, such as photos.headlight.")
]


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
        help="Number of clusters, at least 2; auto: estimated from the features.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="RUN",
        help="Run folder to create or resume; ./SOURCE_NAME.headlight if omitted.",
    ),
]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="ENCODER",
        help="`headlight encoders` lists them; several joined by +.",
    ),
]
Views = Annotated[
    int, typer.Option(metavar="N", help="Augmented views per image, besides the plain view.")
]
ViewImages = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="About how many images get augmented views, a random sample; 4,000 if omitted "
        "(recipe paper: all).",
    ),
]
Recipe = Annotated[
    Literal["robust", "paper"],
    typer.Option(help="robust: the default method; paper: SCP as published."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of all randomness in training.")]
Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|cuda:N", help="Device of the encoder and of training."),
]
Precision = Annotated[
    Literal["auto", "f32", "bf16"],
    typer.Option(help="Precision of the encoder; auto: bf16 if faster and accurate enough."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="local|auto|ADDRESS",
        help="Encode on a Ray cluster: start one here, find the one that runs, or its address.",
    ),
]
OUTPUT = "Output"
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        rich_help_panel=OUTPUT,
        help="Print one JSON object on stdout, everything else on stderr.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Print results only."),
]
TrustedEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="ENCODER",
        help="The run's torch: encoder, if you trust its code.",
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start over: edits are set aside with the present fit; fit --restore brings it back.",
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", rich_help_panel=OUTPUT, help="Show the traceback of an error."),
]
