"""`cluster --adapt`: an encoder tuned on the clusters it gave, then used in their place."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from headlight import HeadlightError, cluster, load_run
from headlight.adaptation import adapt, confident_rows
from headlight.encoders import load_encoder
from headlight.images import decode, open_source
from headlight.runs import predict_run
from tests.conftest import make_photos

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adaptation")
    photos = make_photos(folder / "photos")
    return cluster(photos, 3, out=folder / "run", encoder="lite0@64", views=1, device="cpu")


@pytest.fixture(scope="module")
def adapted(run):
    return adapt(run, run.path.parent / "encoder", device="cpu")


def test_only_the_last_third_of_the_layers_is_tuned(adapted):
    before = load_encoder("lite0@64").build().state_dict()
    after = load_encoder(f"adapted:{adapted}").build().state_dict()
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    layers = [name for name in before if name.endswith("weight") and before[name].ndim == 4]
    last = layers[len(layers) // 2 :]
    assert changed and set(changed) <= set(last)


def test_tuned_features_tell_the_clusters_better_than_the_encoders_own(run, adapted):
    rows = confident_rows(run, 4000)
    labels = run.assignments["cluster"].to_numpy()[rows]
    paths = run.assignments["path"].take(rows).to_pylist()
    images = [run.source.read(path, 2**20) for path in paths]

    def separation(name: str) -> float:
        encoder = load_encoder(name)
        views = np.stack([np.asarray(encoder.plain_view(decode(one, 128))) for one in images])
        with torch.no_grad():
            features = encoder.build()(torch.from_numpy(views)).numpy()
        within = np.mean([features[labels == k].var(axis=0).sum() for k in np.unique(labels)])
        return features.var(axis=0).sum() / within

    assert separation(f"adapted:{adapted}") > 1.02 * separation("lite0@64")


def test_one_command_clusters_adapts_and_clusters_again(tmp_path, photos):
    settings = {"out": tmp_path / "run", "encoder": "lite0@64", "views": 1, "adapt": True}
    run = cluster(photos, 3, **settings)
    assert run.info["encoder"]["encoder"] == f"adapted:{tmp_path / 'run' / '.adapted'}"
    before = load_run(tmp_path / "run" / ".before")
    assert before.info["encoder"]["encoder"] == "lite0@64"
    assert not np.allclose(before.features.load()[1].plain, run.features.load()[1].plain)
    predict_run(run, open_source(photos), tmp_path / "again.parquet")
    predicted = pq.read_table(tmp_path / "again.parquet")
    assert predicted["cluster"].equals(run.assignments["cluster"])
    resumed = cluster(photos, 3, **settings)
    assert resumed.assignments["cluster"].equals(run.assignments["cluster"])
    with pytest.raises(HeadlightError, match="adapts lite0@64, not lite0@96"):
        cluster(photos, 3, **settings | {"encoder": "lite0@96"})


@pytest.mark.parametrize("encoder", ["lite0@64+lite0@96", "features:some.npy"])
def test_what_is_no_single_network_is_refused_before_any_work(tmp_path, photos, encoder):
    with pytest.raises(HeadlightError, match="--adapt"):
        cluster(photos, 3, out=tmp_path / "run", encoder=encoder, adapt=True)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_no_adapted_encoder_is_told(tmp_path):
    with pytest.raises(HeadlightError, match="no adapted encoder there"):
        load_encoder(f"adapted:{tmp_path}")


def test_other_weights_of_the_encoder_underneath_are_refused(adapted, tmp_path):
    text = (adapted / "adapted.json").read_text()
    (tmp_path / "adapted.json").write_text(
        text.replace(load_encoder("lite0").weights_hash, "0" * 64)
    )
    (tmp_path / "weights.safetensors").write_bytes((adapted / "weights.safetensors").read_bytes())
    with pytest.raises(HeadlightError, match="other weights"):
        load_encoder(f"adapted:{tmp_path}")
