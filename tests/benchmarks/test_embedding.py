"""The comparisons of embedding, on sizes that take seconds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.embedding import checkpoint, files, gpu, memory, transformer, turns, views
from benchmarks.embedding.__main__ import main
from benchmarks.embedding.results import update
from benchmarks.embedding.sample import Sample
from headlight.encoders import load_encoder
from headlight.engines import conversion_cache
from headlight.images import open_source
from tests.conftest import draw, make_photos


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converted models of throw-away checkpoints stay out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(conversion_cache, "user_cache_path", lambda _: folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_files_are_compared_with_a_plain_loop_and_the_engine_alone(photos: Path) -> None:
    rows = rows_of(files.measure(photos, 16, 2, "lite0@32"))
    assert [row[0].split(",")[0] for row in rows] == [
        "plain PyTorch fp32 loop",
        f"{rows[1][0].split()[0]} alone",
        "headlight",
    ]
    for row in rows[:2]:
        assert re.fullmatch(r"[\d.]+ \([\d.]+–[\d.]+\) ×", row[2])


def test_a_transformer_is_compared_with_transformers_own_loop(photos: Path) -> None:
    pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")
    rows = rows_of(transformer.measure(photos, 8, 1, "tiny"))
    assert rows[0][0].startswith("transformers")
    assert len(rows) == 3


def test_transformers_loop_computes_what_headlight_computes(photos: Path, tmp_path: Path) -> None:
    """Else the two could not be compared. Images are resized in two steps there, in one here."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers (pip install 'headlight-images[hub]')"
    )
    checkpoint.save(tmp_path / "vit", "tiny")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "vit")
    model = transformers.AutoModel.from_pretrained(tmp_path / "vit").eval()
    refs = list(open_source(photos))[:5]
    theirs = transformer.documented_loop(photos, refs, processor, model).numpy()
    encoder = load_encoder(f"hf:{tmp_path / 'vit'}")
    pixels = [np.asarray(encoder.plain_view(draw("disc", i))) for i in range(5)]
    with torch.no_grad():
        ours = encoder.build()(torch.from_numpy(np.stack(pixels))).numpy()
    assert np.linalg.norm(ours - theirs) < 0.02 * np.linalg.norm(theirs)


def test_views_are_compared_with_one(photos: Path) -> None:
    rows = rows_of(views.measure(photos, 8, 2, "lite0@32"))
    assert [row[0] for row in rows] == list(views.ASKED)
    assert rows[0][2] == "1.00 (1.00–1.00) ×"


def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", per_kind=2)
    data = [file.read_bytes() for file in sorted(folder.rglob("*.png"))]
    image = pa.array([{"bytes": one, "path": None} for one in data])
    pq.write_table(pa.table({"image": image}), tmp_path / "images.parquet")
    arguments = ["memory", "--parquet", str(tmp_path / "images.parquet")]
    main([*arguments, "--sizes", "2", "6", "--out", str(tmp_path / "out.md")])
    rows = rows_of((tmp_path / "out.md").read_text())
    assert [row[0] for row in rows] == ["2", "6"]
    assert all(0 < int(row[1]) <= int(row[2]) for row in rows)


def test_peak_of_resident_memory_sees_what_was_given_back() -> None:
    before = memory.resident("VmHWM")
    block = np.ones(int(before + 64 - memory.resident("VmRSS") + 64) * memory.MIB, np.uint8)
    del block
    assert 32 < memory.resident("VmHWM") - before < 160


def test_the_part_for_gpus_runs_on_a_cpu_too() -> None:
    pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")
    text = gpu.measure("cpu", 6, 1, "tiny", 64)
    assert [row[0] for row in rows_of(text)] == ["torch-f32, cpu"]
    assert "batches of 4, 6 ready images" in text


def test_operations_of_a_transformer_are_counted_as_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")
    checkpoint.save(tmp_path, "tiny")
    tokens, dim = 1 + 16 * 16, 32
    patches = 2 * 256 * 14 * 14 * 3 * dim
    block = 2 * tokens * (4 * dim * dim + 2 * 4 * dim * dim) + 2 * 2 * tokens * tokens * dim
    assert gpu.operations(load_encoder(f"hf:{tmp_path}")) == patches + block


def test_a_sample_is_spread_or_first(photos: Path) -> None:
    whole = open_source(photos)
    names = [ref.path for ref in whole]
    assert [ref.path for ref in Sample(whole, 12)] == names[::3]
    assert [ref.path for ref in Sample(whole, 5, spread=False)] == names[:5]
    assert Sample(whole, 1000).count == len(names)


def test_entries_take_turns_and_ratios_are_of_the_same_round() -> None:
    order = []
    entries = [turns.Entry(name, 10, lambda name=name: order.append(name)) for name in "ab"]
    turns.run(entries, 2)
    assert order == ["a", "b"] * 3  # the first round is for nothing
    assert [len(entry.seconds) for entry in entries] == [2, 2]
    entries[0].seconds, entries[1].seconds = [4.0, 12.0], [2.0, 3.0]
    entries[0].core_seconds, entries[1].core_seconds = [1.0, 1.0], [2.0, 2.0]
    row = rows_of(turns.table(entries, entries[1]))[0]
    assert row[2] == "3.00 (2.00–4.00) ×"
    assert row[4] == "0.50 (0.50–0.50) ×"


def test_a_section_replaces_the_one_of_its_title(tmp_path: Path) -> None:
    file = tmp_path / "results" / "embedding.md"
    for title, text in (("One", "old"), ("Two", "second"), ("One", "| new |"), ("Three", "3")):
        update(file, title, text)
    text = file.read_text()
    assert text.startswith("# Embedding\n")
    assert text.endswith("\n\n## One\n\n| new |\n\n## Two\n\nsecond\n\n## Three\n\n3\n")
    assert "old" not in text


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fields"])
    assert "no such part: fields" in capsys.readouterr().err
