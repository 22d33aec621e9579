from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from headlight.engines import conversion
from headlight.errors import HeadlightError
from headlight.images import content_hash, open_source
from headlight.review import evaluate, predict_run
from headlight.review.evaluating import known_scores
from headlight.review.review import review
from headlight.runs import Run, embed_run, fit_run, load_run
from headlight.runs.files import atomic, write_table
from headlight.runs.run import locked
from tests.conftest import KINDS, draw, make_photos, rewrite_info


def test_clusters_are_the_kinds(fitted_copy: Path) -> None:
    scores = evaluate(fitted_copy, "folder")
    assert scores["acc"] == scores["nmi"] == scores["ari"] == 1.0
    assert set(scores["confusion"]["matched"]) == set(KINDS)
    assert known_scores(review(load_run(fitted_copy))) == {
        name: scores[name] for name in ("acc", "nmi", "ari")
    }


def test_assignments_tell_all_of_every_image(fitted: Run) -> None:
    table = pq.read_table(fitted.path / "assignments.parquet")
    assert table["path"].to_pylist() == [ref.path for ref in fitted.source]
    assert table.schema.field("cluster").type == pa.int32()
    groups = table["duplicates"]
    assert groups.type == pa.int32()
    columns = {name: table[name].to_numpy() for name in table.column_names[1:]}
    del columns["duplicates"]
    contents = [content_hash(fitted.source.read(path, 2**20)) for path in table["path"].to_pylist()]
    assert columns.pop("image").tolist() == contents
    assert set(columns) == {
        "cluster", "confidence", "second", "margin", "outlier_score", "map_x", "map_y",
    }  # fmt: skip
    assert all(np.isfinite(values).all() for values in columns.values())
    assert (columns["cluster"] != columns["second"]).all()
    assert ((columns["margin"] >= 0) & (columns["margin"] <= columns["confidence"])).all()
    assert columns["confidence"].max() <= 1


def test_clusters_table_agrees_with_the_assignments(fitted: Run) -> None:
    clusters = fitted.clusters.to_pylist()
    assigned = dict(
        zip(
            fitted.assignments["path"].to_pylist(),
            fitted.assignments["cluster"].to_pylist(),
            strict=True,
        )
    )
    assert [row["cluster"] for row in clusters] == [0, 1, 2]
    assert sum(row["size"] for row in clusters) == 36
    sizes = [row["size"] for row in clusters]
    assert sizes == sorted(sizes, reverse=True)
    for row in clusters:
        assert {assigned[path] for path in row["prototypes"]} == {row["cluster"]}
        assert all(
            0 <= row[name] <= 1 for name in ("quality", "cohesion", "separation", "stability")
        )
        assert sorted(row["nearest"]) == [k for k in range(3) if k != row["cluster"]]


def test_model_on_disk_gives_the_assignments_on_disk(fitted: Run) -> None:
    features = fitted.features.load()[1].plain
    assert (fitted.model.predict(features) == fitted.assignments["cluster"].to_numpy()).all()


def test_nothing_in_a_run_is_pickled(fitted: Run) -> None:
    kinds = {p.suffix for p in fitted.path.iterdir() if p.is_file() and p.name != ".lock"}
    assert kinds <= {".json", ".parquet", ".safetensors", ".html"}


def test_prediction_on_the_same_images_repeats_their_assignments(
    fitted: Run, tmp_path: Path
) -> None:
    found = predict_run(fitted, fitted.source, tmp_path / "p.parquet", device="cpu")
    predicted = pq.read_table(tmp_path / "p.parquet")
    assert (found.assigned, found.none, found.unusable) == (36, 0, 0)
    for column in ("path", "cluster", "confidence", "second", "margin"):
        assert predicted[column].to_pylist() == fitted.assignments[column].to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_prediction_on_new_images_names_the_unusable_ones(
    fitted: Run, tmp_path: Path, suffix: str
) -> None:
    new = make_photos(tmp_path / "new", per_kind=2)
    for kind in KINDS:
        draw(kind, 500).save(new / kind / 'a "new", one\n.png')
    (new / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / f"p{suffix}"
    found = predict_run(fitted, open_source(new), out, device="cpu")
    assert (found.assigned, found.none, found.unusable) == (9, 0, 1)
    result = evaluate(out, "folder")
    assert (result["acc"], result["images"]) == (1.0, 9)
    if suffix == ".parquet":
        (row,) = [r for r in pq.read_table(out).to_pylist() if r["path"] == "broken.png"]
        assert row["cluster"] is None
        assert "damaged" in row["error"] or "not an image" in row["error"]


def test_predictions_as_csv_run_no_formulas(fitted: Run, tmp_path: Path, photos: Path) -> None:
    (photos / "=1+1").mkdir()
    shutil.copy(next(photos.glob("disc/*.png")), photos / "=1+1" / "a.png")
    for name in ("new.csv", "new.parquet"):
        predict_run(fitted, open_source(photos), tmp_path / name, device="cpu")
    assert "'=1+1/a.png" in (tmp_path / "new.csv").read_text("utf-8")
    assert "=1+1/a.png" in pq.read_table(tmp_path / "new.parquet")["path"].to_pylist()


def test_failed_prediction_leaves_the_old_file(fitted: Run, tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "p.parquet"
    out.write_text("precious")
    (photos / "x").mkdir()

    def crash(done: int, total: int) -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        predict_run(fitted, open_source(photos), out, "cpu", crash)
    assert out.read_text() == "precious"
    assert not list(tmp_path.glob(".p.parquet*"))


def test_same_seed_same_bits_other_seed_other_head(fitted_copy: Path) -> None:
    def fitted_with(seed: int) -> tuple[bytes, pa.Table, torch.Tensor]:
        run = fit_run(load_run(fitted_copy), 3, seed=seed, device="cpu")
        model = (fitted_copy / "model.safetensors").read_bytes()
        return model, run.assignments, run.model.head_.weight

    (model, table, head), (again, same, _) = fitted_with(1), fitted_with(1)
    assert model == again
    assert table.equals(same)
    assert not torch.equal(head, fitted_with(2)[2])


@pytest.mark.parametrize("file", ["assignments.parquet", "clusters.parquet", "model.safetensors"])
def test_files_of_two_fits_are_never_mixed(fitted_copy: Path, file: str) -> None:
    """As if a second fit had been killed between two files."""
    older = load_run(fitted_copy).file(file)
    run = fit_run(load_run(fitted_copy), 4, device="cpu")
    shutil.copy(older, run.file(file))
    shutil.copy(older, run.path / file)
    with pytest.raises(HeadlightError, match=f"{file} is damaged"):
        getattr(load_run(run.path), file.split(".")[0])


def test_fit_killed_before_the_end_leaves_the_old_one(
    fitted_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_run(fitted_copy).assignments

    def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("headlight.runs.fits.save_model", crash)
    with pytest.raises(RuntimeError):
        fit_run(load_run(fitted_copy), 2, device="cpu")
    assert load_run(fitted_copy).assignments.equals(before)


def test_other_settings_or_images_are_refused(fitted: Run, tmp_path: Path) -> None:
    with pytest.raises(HeadlightError, match="views 1, not 2"):
        embed_run(fitted.source, fitted.path, views=2, device="cpu")
    other = make_photos(tmp_path / "other", per_kind=1)
    with pytest.raises(HeadlightError, match=r"source .*photos, not .*other.*headlight relocate"):
        embed_run(open_source(other), fitted.path, views=1, device="cpu")


def test_a_resumed_run_keeps_its_arithmetic(photos: Path, tmp_path: Path, monkeypatch) -> None:
    """Whatever this machine would choose for a new run."""
    monkeypatch.setattr(conversion, "_precisions", lambda _: ("bf16", "f32"))
    monkeypatch.setattr(conversion, "fastest", lambda compiled, _: list(compiled)[-1])
    some = tmp_path / "some"
    shutil.copytree(photos / "disc", some / "disc")
    embed_run(open_source(some), tmp_path / "r", views=0, precision="bf16")
    shutil.copytree(photos / "noise", some / "noise")
    run, report = embed_run(open_source(some), tmp_path / "r", views=0)
    assert report.kept and report.added
    assert run.info.encoder.engine == "openvino-bf16"


def test_a_folder_that_is_no_run_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(HeadlightError, match="is not a run of headlight"):
        embed_run(open_source(photos), tmp_path / "mine", device="cpu")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_two_writers_do_not_meet(fitted_copy: Path) -> None:
    run = load_run(fitted_copy)
    with locked(fitted_copy), pytest.raises(HeadlightError, match="another headlight"):
        fit_run(run, 3, device="cpu")


def test_run_with_bad_files_is_explained(fitted_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, sentence in [(tmp_path / "none", "no such run"), (tmp_path / "empty", "no run.json")]:
        with pytest.raises(HeadlightError, match=sentence):
            load_run(path)
    for file in fitted_copy.rglob("assignments.parquet"):
        file.write_bytes(b"PAR1garbage")
    with pytest.raises(HeadlightError, match="damaged: run `headlight fit .*copy.headlight`"):
        load_run(fitted_copy).assignments  # noqa: B018
    rewrite_info(fitted_copy, lambda info: info.update(format=99))
    with pytest.raises(HeadlightError, match="format 99.*update headlight"):
        load_run(fitted_copy)
    (fitted_copy / "run.json").write_text("{")
    with pytest.raises(HeadlightError, match="damaged"):
        load_run(fitted_copy)


def test_source_that_moved_is_said(fitted_copy: Path) -> None:
    rewrite_info(fitted_copy, lambda info: info["source"].update(uri="/nowhere/photos"))
    run = load_run(fitted_copy)
    assert len(run.assignments) == 36
    with pytest.raises(HeadlightError, match="images of .* are gone: /nowhere/photos"):
        run.source  # noqa: B018


def test_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), atomic(file) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("power cut")
    assert file.read_text() == "old"
    with atomic(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


LABELS = {f"{kind}/{i:02d}.png": kind for kind in KINDS for i in range(12)}


@pytest.mark.parametrize(
    ("suffix", "columns"),
    [
        (".csv", ("path", "label")),
        (".csv", ("file_name", "class")),
        (".parquet", ("path", "label")),
    ],
)
def test_labels_come_from_a_file(
    fitted_copy: Path, tmp_path: Path, suffix: str, columns: tuple[str, str]
) -> None:
    some = {path: label for path, label in LABELS.items() if not path.endswith("00.png")}
    file = tmp_path / f"labels{suffix}"
    table = pa.table(dict(zip(columns, (list(some), list(some.values())), strict=True)))
    if suffix == ".csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(table, file)
    else:
        write_table(file, table)
    result = evaluate(fitted_copy, str(file))
    assert (result["acc"], result["images"], result["unlabelled"]) == (1.0, 33, 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,colour\na,b\n", "no column label .found path, colour"),
        ("label\na\n", "no column path"),
        ("path,label\nelsewhere.png,a\n", "no label for any.*'elsewhere.png'.*'disc/00.png'"),
        ("", "can't be read"),
    ],
)
def test_labels_that_do_not_fit_are_explained(
    fitted: Run, tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(HeadlightError, match=sentence):
        evaluate(fitted.path, str(tmp_path / "labels.csv"))


def test_labels_from_one_flat_folder_are_refused(fitted: Run, tmp_path: Path) -> None:
    flat = pa.table({"path": ["a.png", "b.png"], "cluster": pa.array([0, 1], pa.int32())})
    write_table(tmp_path / "p.parquet", flat)
    with pytest.raises(HeadlightError, match="folder names can't be labels"):
        evaluate(tmp_path / "p.parquet", "folder")
    with pytest.raises(HeadlightError, match="no such file"):
        evaluate(tmp_path / "p.parquet", "labels-that-are-not-there.csv")
