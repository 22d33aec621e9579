"""The model as ONNX: what it says in onnxruntime is what headlight says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headlight.export.merged_clusters import Folding
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.clustering import SCP
from headlight.encoders import load_encoders
from headlight.errors import HeadlightError
from headlight.export import export_onnx
from headlight.export.model_card import escaped
from headlight.images import DecodeLimits, decode, open_source
from headlight.review.log import mark_outliers, merge, move, rename
from headlight.review.review import review
from headlight.runs import Run, embed_run, fit_run, load_run
from headlight.runs.features import plain_features
from tests.conftest import rewrite_info

pytest.importorskip("onnx", reason="ONNX export (pip install 'headlight-images[export]')")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="ONNX export (pip install 'headlight-images[export]')"
)


def predicted(file: Path, **inputs: np.ndarray) -> tuple[Any, Any]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["labels", "probabilities"], inputs)


def plain_views(run: Run) -> np.ndarray:
    (encoder,) = load_encoders(run.info.encoder.name).parts
    limit = DecodeLimits().file_bytes
    images = [run.source.read(p, limit) for p in run.assignments["path"].to_pylist()]
    return np.stack([encoder.plain_view(decode(data, encoder.min_side)) for data in images])


def identity(k: int) -> Folding:
    return Folding(list(range(k)), np.arange(k), 1.0, [])


@pytest.fixture(scope="module")
def exported(fitted: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "model"
    report = export_onnx(fitted, out)
    assert (report.path, report.exported) == (out, 36)
    return out


def test_the_head_predicts_from_features_as_the_run_does(fitted: Run, exported: Path) -> None:
    features = plain_features(fitted).astype(np.float32)
    labels, probabilities = predicted(exported / "head.onnx", features=features)
    assert (labels.dtype, probabilities.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(labels, fitted.assignments["cluster"].to_numpy())
    np.testing.assert_allclose(probabilities, fitted.model.predict_proba(features), atol=1e-4)
    one, _ = predicted(exported / "head.onnx", features=features[:1])
    assert one.tolist() == labels[:1].tolist()


def test_the_whole_model_predicts_from_pixels(fitted: Run, exported: Path) -> None:
    labels, probabilities = predicted(exported / "model.onnx", pixels=plain_views(fitted))
    np.testing.assert_array_equal(labels, fitted.assignments["cluster"].to_numpy())
    confidence = fitted.assignments["confidence"].to_numpy()
    np.testing.assert_allclose(probabilities.max(axis=1), confidence, atol=0.05)  # bf16 there


def test_the_six_lines_of_the_card_label_a_photo(
    fitted: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    card = (exported / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(code.splitlines()) == 6
    monkeypatch.chdir(shutil.copytree(exported, tmp_path / "model"))
    names = fitted.clusters["name"].to_pylist()
    rows = fitted.assignments.to_pylist()
    for row in (rows[0], rows[15], rows[30]):
        shutil.copy(open_source(fitted.info.source.uri).file(row["path"]), "photo.jpg")
        exec(code, {})
        assert capsys.readouterr().out.strip() == names[row["cluster"]]


def test_the_files_say_what_they_are(fitted: Run, exported: Path) -> None:
    import onnx

    assert sorted(file.name for file in exported.iterdir()) == [
        "README.md",
        "clusters.json",
        "head.onnx",
        "model.onnx",
    ]
    for name in ("head.onnx", "model.onnx"):
        model = onnx.load(exported / name)
        said = {prop.key: prop.value for prop in model.metadata_props}
        assert said["headlight.fit"] == fitted.fit.id
        assert json.loads(said["headlight.clusters"])["0"] == "cluster-0"
    assert "uint8 (n, 224, 224, 3), upright RGB" in said["headlight.input"]
    read = json.loads((exported / "clusters.json").read_text("utf-8"))
    assert [row["column"] for row in read["clusters"]] == [0, 1, 2]
    assert (read["image"]["size"], read["image"]["crop"]) == (224, 0.875)
    card = (exported / "README.md").read_text("utf-8")
    for part in ("## Use", "## Limits", "## Licence", fitted.info.encoder.weights):
        assert part in card
    assert "36 images" in card


@pytest.fixture
def head_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds that an encoder takes."""
    import headlight.export.onnx_encoder as module

    def no_encoder(run: Run) -> Any:
        raise module.Unexportable("not wanted in this test")

    monkeypatch.setattr(module, "encoder_of", no_encoder)


@pytest.mark.usefixtures("head_only")
def test_merged_clusters_are_one_and_the_card_says_what_else_was_edited(
    fitted_copy: Path, tmp_path: Path
) -> None:
    run = load_run(fitted_copy)
    features = plain_features(run).astype(np.float32)
    before = run.model.predict_proba(features)
    made = review(run)
    made.edit(merge([0, 2], into=2))
    made.edit(rename(2, "discs | *and* <noise>"))
    row = int(np.flatnonzero(made.labels == 1)[0])
    made.edit(move({9: np.array([row])}, {9: "odd"}))
    made.edit(mark_outliers(np.array([35]), True))
    out = export_onnx(load_run(run.path), tmp_path / "out").path
    labels, probabilities = predicted(out / "head.onnx", features=features)
    fitted = run.assignments["cluster"].to_numpy()
    np.testing.assert_array_equal(labels, np.where(fitted == 1, 1, 2))
    np.testing.assert_allclose(probabilities[:, 0], before[:, 1], atol=1e-4)
    np.testing.assert_allclose(probabilities[:, 1], before[:, 0] + before[:, 2], atol=1e-4)
    clusters = json.loads((out / "clusters.json").read_text("utf-8"))["clusters"]
    assert [(c["cluster"], c["name"]) for c in clusters] == [
        (1, "cluster-1"),
        (2, "discs | *and* <noise>"),
    ]
    card = (out / "README.md").read_text("utf-8")
    assert r"| 2 | discs \| \*and\* &lt;noise&gt; |" in card
    assert "4 edits by a person: the model's clusters are those of 97.1% of the images" in card
    assert "Never predicted, because they hold images that the head had put elsewhere: odd." in card
    assert "1 image was marked as an outlier" in card
    assert "no model that takes pixels: not wanted in this test" in card
    assert not (out / "model.onnx").exists()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # empty clusters
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    k=st.integers(1, 6),
    dim=st.integers(2, 20),
    recipe=st.sampled_from(["robust", "paper"]),
)
def test_every_kind_of_head_becomes_the_same_function(
    seed: int, k: int, dim: int, recipe: str
) -> None:
    from headlight.export.onnx_check import run_model
    from headlight.export.onnx_head import head_model

    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(40, 2, dim)) + 3 * rng.normal(size=(40, 1, dim))).astype(np.float32)
    scp = SCP(k, recipe=recipe, random_state=0, n_epochs=1).fit(x)
    new = np.concatenate([rng.normal(size=(20, dim)) * 5, scp.projection_.mean[None].numpy()])
    new = new.astype(np.float32)
    labels, probabilities = run_model(head_model(scp, identity(k)), {"features": new})
    np.testing.assert_allclose(probabilities, scp.predict_proba(new), atol=1e-4)
    top = np.sort(probabilities, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-3 if k > 1 else np.ones(len(new), bool)
    np.testing.assert_array_equal(labels[clear], scp.predict(new)[clear])


@pytest.mark.usefixtures("head_only")
def test_a_cluster_most_of_whose_images_moved_is_the_one_they_moved_to(
    fitted_copy: Path, tmp_path: Path
) -> None:
    run = load_run(fitted_copy)
    edits = review(run)
    edits.edit(move({9: np.flatnonzero(edits.labels == 0)[:8]}, {9: "moved"}))  # of 12
    features = plain_features(run).astype(np.float32)
    out = export_onnx(load_run(run.path), tmp_path / "out").path
    labels, probabilities = predicted(out / "head.onnx", features=features)
    fitted = run.assignments["cluster"].to_numpy()
    np.testing.assert_array_equal(labels, np.where(fitted == 0, 9, fitted))
    expected = run.model.predict_proba(features)[:, [1, 2, 0]]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=3, max_size=3) | st.permutations(range(3)))
def test_every_folding_adds_up_the_probabilities_of_its_clusters(
    fitted: Run, became: list[int]
) -> None:
    from headlight.export.onnx_check import check_head
    from headlight.export.onnx_head import head_model

    numbers, target = np.unique(became, return_inverse=True)
    folding = Folding((numbers + 5).tolist(), target, 1.0, [])
    assert check_head(head_model(fitted.model, folding), fitted, folding).same == 36


def test_a_model_that_says_something_else_is_not_handed_out(fitted: Run) -> None:
    import torch

    from headlight.export.onnx_check import check_head
    from headlight.export.onnx_head import head_model

    assert check_head(head_model(fitted.model, identity(3)), fitted, identity(3)).same == 36
    other = SCP.from_state(*fitted.model.state())
    for change in (
        lambda: other.head_.scale_logits(50),
        lambda: other.head_.reorder(torch.tensor([1, 0, 2])),
    ):
        change()  # the same labels with other probabilities; then other labels
        with pytest.raises(HeadlightError, match="are not headlight's"):
            check_head(head_model(other, identity(3)), fitted, identity(3))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_said_before_anything_is_made(
    fitted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import headlight.export.model as module

    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(HeadlightError, match=r"pip install 'headlight-images\[export\]'"):
        export_onnx(fitted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_made_elsewhere_give_a_head_alone(photos: Path, tmp_path: Path) -> None:
    source = open_source(photos)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(source.count, 16)) + np.repeat(rng.normal(size=(3, 16)) * 4, 12, 0)
    np.save(tmp_path / "made.npy", vectors.astype(np.float32))
    run, _ = embed_run(source, tmp_path / "run", encoder=f"features:{tmp_path / 'made.npy'}")
    run = fit_run(run, 3, device="cpu")
    out = export_onnx(run, tmp_path / "out").path
    features = plain_features(run).astype(np.float32)
    labels, _ = predicted(out / "head.onnx", features=features)
    np.testing.assert_array_equal(labels, run.assignments["cluster"].to_numpy())
    assert not (out / "model.onnx").exists()
    card = (out / "README.md").read_text("utf-8")
    assert "the features were precomputed" in card
    assert "features.npy" in card


@pytest.mark.parametrize("family", ["vit", "registers"])  # the second takes the newer exporter
def test_transformers_encoders_are_written_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], family: str
) -> None:
    pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")
    pytest.importorskip("onnxscript", reason="ONNX export (pip install 'headlight-images[export]')")
    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import encoder_model
    from tests.encoders.checkpoints import networks, noise, run_torch, save, scatter

    encoder = load_encoder(f"hf:{save(scatter(networks()[family]), tmp_path / family)}")
    capfd.readouterr()
    model, opset = encoder_model(encoder, encoder.build())
    assert capfd.readouterr() == ("", "")
    assert opset == model.opset_import[0].version
    pixels = noise(encoder, 3)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (features,) = session.run(["features"], {"pixels": pixels})
    np.testing.assert_allclose(features, run_torch(encoder, pixels), atol=1e-5)


ODD = """
import torch

class Odd(torch.nn.Module):
    input_size = 8

    def forward(self, images):
        print("a word that must not be seen")
        values = images.mean((2, 3))
        return values + torch.linalg.eigvals(values @ values.T).real.sum()
"""


def test_a_network_that_onnx_cannot_express_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import Unexportable, encoder_model

    (tmp_path / "odd_network.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder("torch:odd_network:Odd")
    capfd.readouterr()
    with pytest.raises(Unexportable, match="PyTorch can't write the encoder as ONNX: .*eig"):
        encoder_model(encoder, encoder.build())
    assert capfd.readouterr() == ("", "")


def test_an_export_silences_nobody_and_imports_nothing_from_the_current_folder(
    fitted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from headlight.export.onnx_encoder import encoder_model, encoder_of

    (tmp_path / "torch.py").write_text("raise SystemExit('this is not PyTorch')")
    monkeypatch.chdir(tmp_path)
    encoder = encoder_of(fitted)
    capfd.readouterr()
    printed = 0
    with ThreadPoolExecutor() as pool:
        export = pool.submit(encoder_model, encoder, encoder.build())
        while not export.done():
            printed += os.write(1, b".")
            wait([export], timeout=0.05)
    assert export.result()[0].graph.output[0].name == "features"
    assert capfd.readouterr().out == "." * printed


def test_a_network_too_large_for_a_file_is_refused_before_it_is_tried() -> None:
    import torch

    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import Unexportable, encoder_model

    with torch.device("meta"):
        huge = torch.nn.Linear(30_000, 30_000)
    with pytest.raises(Unexportable, match=r"3.6 GB, exceed the limit of ONNX files"):
        encoder_model(load_encoder("lite0"), huge)


def test_other_weights_than_the_runs_are_never_put_in_front(fitted_copy: Path) -> None:
    from headlight.export.onnx_encoder import Unexportable, encoder_of

    run = load_run(fitted_copy)
    assert encoder_of(run).name == "lite0"
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(weights="00"))
    run = load_run(fitted_copy)
    with pytest.raises(Unexportable, match="not those of the run"):
        encoder_of(run)
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(name="lite0+lite0@160"))
    run = load_run(fitted_copy)
    with pytest.raises(Unexportable, match="of several encoders"):
        encoder_of(run)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_names_stay_literal_in_the_card(name: str) -> None:
    safe = escaped(f"a{name}b")
    assert "\n" not in safe
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", safe)
    assert not set(safe) & set("<>")
