"""True labels, from folder names or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headlight.errors import HeadlightError, first_line

PATH_COLUMNS = ("path", "file_name", "filename", "file")
LABEL_COLUMNS = ("label", "class", "category")


def read_labels(spec: str, paths: Sequence[str]) -> dict[str, str]:
    """True labels of images.

    Arguments:
        spec: ``folder`` (the folder an image lies in is its label), or a file: CSV or Parquet
            with a column path (or file_name) and a column label (or class), or a Parquet file of
            images with a column label, whose rows are named ``FILE#ROW``.
        paths: of the images, as in ``assignments.parquet``.

    Returns:
        Path → label, for all images that have one.

    Raises:
        HeadlightError: there is no such file, it lacks the columns, or it has no label for any
            image.
    """
    labels = _from_folders(paths) if spec == "folder" else _from_file(Path(spec))
    found = {path: labels[path] for path in paths if path in labels}
    if not found:
        raise HeadlightError(
            f"{spec} has no label for any of the images: it names them like "
            f"{next(iter(labels), 'nothing')!r}, the run like {paths[0]!r}"
        )
    return found


def _from_folders(paths: Sequence[str]) -> dict[str, str]:
    labels = {path: path.rpartition("/")[0] for path in paths}
    if len(set(labels.values())) < 2:
        raise HeadlightError(
            "--labels folder: all images are in the same folder, so folder names can't be labels; "
            "give a file of labels"
        )
    return labels


def _from_file(file: Path) -> dict[str, str]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    if not file.is_file():
        raise HeadlightError(f"--labels {file}: no such file (or give: folder)")
    try:
        if file.suffix == ".parquet":
            names = pq.read_schema(file).names
            wanted = [c for c in (*PATH_COLUMNS, *LABEL_COLUMNS) if c in names]
            table = pq.read_table(file, columns=wanted)
        else:
            delimiter = "\t" if file.suffix == ".tsv" else ","
            parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
            table = pyarrow.csv.read_csv(file, parse_options=parse)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise HeadlightError(f"--labels {file} can't be read: {first_line(error)}") from error
    path = next((c for c in PATH_COLUMNS if c in table.column_names), None)
    label = next((c for c in LABEL_COLUMNS if c in table.column_names), None)
    if label is None:
        raise HeadlightError(
            f"--labels {file} has no column label (found {', '.join(table.column_names)})"
        )
    try:
        values = [None if v is None else str(v) for v in table[label].to_pylist()]
        keys = [] if path is None else [str(v) for v in table[path].to_pylist()]
    except UnicodeDecodeError as error:
        raise HeadlightError(f"--labels {file} is not UTF-8: save it as UTF-8") from error
    if path is None:
        if file.suffix != ".parquet":
            raise HeadlightError(f"--labels {file} has no column path that names the images")
        keys = [f"{file.name}#{row}" for row in range(len(values))]
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}
