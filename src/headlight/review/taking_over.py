"""Logs of the first format, whose edits name rows of a fit: rewritten to name images."""

from __future__ import annotations

import json
import shutil
import zlib

from headlight.review.lines import names_rows, taken_over
from headlight.review.log import CHECK
from headlight.review.review import Review
from headlight.runs.files import atomic

BEFORE = "edits.rows.jsonl"  # the log as it was


def take_over(review: Review) -> Review:
    """Rewrite the lines of a review that name rows, while their images can still be told.

    The log as it was stays in the run, as ``edits.rows.jsonl``.

    Arguments:
        review: with all edits of the log.

    Returns:
        The review, opened again if its log was rewritten.
    """
    path = review.log.path
    if not path.is_file():
        return review
    with review.log.locked():
        data = path.read_bytes()
        lines = [json.loads(raw) for raw in data.split(b"\n")[:-1]]
        own = [names_rows(line) and line["fit"] == review.run.fit.review_id for line in lines]
        if not any(own):
            return review
        before = path.with_name(BEFORE)
        if not before.exists():
            with atomic(before) as temporary:
                shutil.copyfile(path, temporary)
        keys = review.keys_before
        new = [
            taken_over(line, lambda: keys) if ours else line
            for line, ours in zip(lines, own, strict=True)
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in new).encode()
        check = path.with_name(CHECK)
        check.unlink(missing_ok=True)  # between the two it would be wrong of either
        with atomic(path) as temporary:
            temporary.write_bytes(text)
        with atomic(check) as temporary:
            temporary.write_text(f"{len(text)} {zlib.crc32(text):08x}\n", "ascii")
    return Review(review.run, review.keys)
