from __future__ import annotations

import json

import numpy as np
import pytest

from headlight.clustering import SCP


@pytest.mark.parametrize("recipe", ["robust", "paper"])
def test_a_restored_state_predicts_the_same_bits(make_blobs, recipe):
    X, _ = make_blobs([60] * 4, views=2)
    scp = SCP(4, recipe=recipe, n_epochs=3, random_state=0).fit(X)
    tensors, metadata = scp.state()
    restored = SCP.from_state(tensors, json.loads(json.dumps(metadata)))
    assert np.array_equal(restored.predict_proba(X), scp.predict_proba(X))
    assert np.array_equal(restored.predict(X), scp.labels_)
    assert restored.get_params() == scp.get_params()
    for name in ("n_features_in_", "n_iter_", "graph_information_"):
        assert getattr(restored, name) == getattr(scp, name)


def test_a_state_is_plain_arrays_and_the_fit_does_not_share_them(make_blobs):
    X, _ = make_blobs([60] * 4)
    scp = SCP(np.int64(4), n_epochs=3, random_state=np.random.RandomState(0)).fit(X)
    tensors, metadata = scp.state()
    json.dumps(metadata)
    assert all(type(value) is np.ndarray for value in tensors.values())
    expected = scp.predict_proba(X)
    restored = SCP.from_state(tensors, metadata)
    for value in tensors.values():
        value[...] = 0
    assert np.array_equal(scp.predict_proba(X), expected)
    assert np.array_equal(restored.predict_proba(X), expected)


def test_a_state_of_a_state_is_the_same(make_blobs):
    X, _ = make_blobs([60] * 4)
    first = SCP(4, n_epochs=3, random_state=0).fit(X).state()
    second = SCP.from_state(*first).state()
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    assert all(np.array_equal(first[0][name], second[0][name]) for name in first[0])
