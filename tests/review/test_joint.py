from __future__ import annotations

import numpy as np

from headlight.review.joint import joint_choice

# Twenty old images in two fitted clusters, and six new ones; what the model says of these is wrong
# for the first three of each joint cluster.
CLUSTERS = np.repeat([4, 9], 10)
JOINT = np.concatenate([np.repeat([1, 0], 10), [1, 1, 1, 0, 0, 0]])


def said(*columns: int, groups: int) -> np.ndarray:
    """Probabilities of which those of `columns` are the highest, one a row."""
    rows = np.full((len(columns), groups), 0.1, np.float32)
    rows[np.arange(len(columns)), columns] = 0.9
    return rows


def test_new_rows_go_where_their_joint_cluster_was_whatever_the_head_says():
    groups = np.repeat([0, 1], 10)
    chosen = joint_choice(JOINT, CLUSTERS, groups, said(1, 0, 1, 0, 0, 1, groups=2))
    assert chosen.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_cluster_that_was_merged_leads_to_the_group_it_is_in_now():
    groups = np.zeros(20, int)
    assert (
        joint_choice(JOINT, CLUSTERS, groups, said(1, 1, 1, 1, 1, 1, groups=2)).tolist() == [0] * 6
    )


def test_of_the_parts_of_a_cluster_the_most_probable_one_is_chosen():
    groups = np.repeat([0, 1, 2], [5, 5, 10])  # the first cluster was split
    chosen = joint_choice(JOINT, CLUSTERS, groups, said(0, 1, 2, 0, 1, 2, groups=3))
    assert chosen[:2].tolist() == [0, 1]
    assert chosen[2] in {0, 1}
    assert chosen[3:].tolist() == [2, 2, 2]


def test_a_group_of_few_of_its_images_is_not_joined():
    clusters, groups = np.zeros(40, int), np.repeat([0, 1], [37, 3])
    assert joint_choice(np.zeros(41, int), clusters, groups, said(1, groups=2)).tolist() == [0]
    groups = np.repeat([0, 1], [36, 4])
    assert joint_choice(np.zeros(41, int), clusters, groups, said(1, groups=2)).tolist() == [1]


def test_where_no_old_row_is_the_model_decides():
    joint = np.concatenate([np.repeat([0, 1], 10), [2, 2]])
    chosen = joint_choice(joint, CLUSTERS, np.repeat([0, 1], 10), said(1, 0, groups=2))
    assert chosen.tolist() == [1, 0]
