"""What each augmented view costs, from files to the store."""

from __future__ import annotations

from pathlib import Path

from benchmarks.embedding.sample import Sample, embed
from benchmarks.embedding.turns import Entry, ratios, run, spread
from headlight.encoders import Encoders, load_encoder
from headlight.engines import make_engine
from headlight.images import open_source

TITLE = "Cost of views"
# Augmented views, and of what share of the images: the last is 4,000, the default, of Caltech-101.
ASKED = {
    "plain": (0, 1.0),
    "plain + 1 augmented": (1, 1.0),
    "plain + 2 augmented": (2, 1.0),
    "plain + 2 augmented of 49 %": (2, 0.49),
}


def measure(folder: Path, images: int, rounds: int, encoder_name: str = "lite0") -> str:
    """Markdown.

    Arguments:
        folder: with image files.
        images: how many of them.
        rounds: of all numbers of views in turn.
        encoder_name: for `load_encoder`.
    """
    source = Sample(open_source(folder), images)
    encoder = load_encoder(encoder_name)
    engine = make_engine(encoder, "cpu")
    encoders = Encoders((encoder,))

    def entry(name: str, views: int, share: float) -> Entry:
        n = len(source.refs)
        most = None if share == 1 else round(share * n)
        return Entry(name, n, lambda: embed(source, encoders, [engine], views, most))

    entries = [entry(name, *asked) for name, asked in ASKED.items()]
    run(entries, rounds)
    lines = [
        "| views | images/s | time, against plain | time of cores, against plain |",
        "| --- | ---: | ---: | ---: |",
    ]
    for one in entries:
        rate = spread([1 / seconds for seconds in one.seconds], ".0f", ".1f")
        clock = spread(ratios(one.seconds, entries[0].seconds), ".2f")
        cores = spread(ratios(one.core_seconds, entries[0].core_seconds), ".2f")
        lines.append(f"| {one.name} | {rate} | {clock} × | {cores} × |")
    about = f"{len(source.refs)} images of {folder.name}, {encoder.name}, files → feature store"
    return f"{about}; {rounds} rounds in turn, median (min–max).\n\n" + "\n".join(lines)
