"""Label Studio's tasks, checked against the format its documentation gives.

Its own library is not installed: it wants another NumPy than PyTorch's users have.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.export import export_label_studio
from headlight.export.label_studio import LOCAL, _printable, configuration
from headlight.export.result import unique_names
from headlight.runs import Run
from tests.export.conftest import EXPECTED, OUTLIER

SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["data", "predictions"],
        "additionalProperties": False,
        "properties": {
            "data": {"type": "object", "required": ["image"]},
            "predictions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["result"],
                    "properties": {
                        "model_version": {"type": "string"},
                        "score": {"type": "number", "minimum": 0, "maximum": 1},
                        "result": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["from_name", "to_name", "type", "value"],
                                "properties": {
                                    "id": {"type": "string"},
                                    "type": {"const": "choices"},
                                    "value": {
                                        "type": "object",
                                        "required": ["choices"],
                                        "properties": {
                                            "choices": {
                                                "type": "array",
                                                "items": {"type": "string"},
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def choices_of(text: str) -> list[str]:
    return [choice.attrib["value"] for choice in ElementTree.fromstring(text).iter("Choice")]


def test_tasks_have_their_image_and_a_choice_the_set_up_knows(edited: Run, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip(
        "jsonschema", reason="Label Studio export (pip install -e '.[dev]')"
    )
    out = export_label_studio(edited, tmp_path / "out").path
    tasks = json.loads((out / "tasks.json").read_text("utf-8"))
    jsonschema.validate(tasks, SCHEMA)
    root = ElementTree.fromstring((out / "config.xml").read_text("utf-8"))
    image, control = root.find("Image"), root.find("Choices")
    assert image is not None
    assert control is not None
    assert image.attrib["value"] == "$image"
    assert control.attrib["toName"] == image.attrib["name"]
    choices = choices_of((out / "config.xml").read_text("utf-8"))
    assert sorted(choices) == sorted([*EXPECTED, "outliers"])
    groups: dict[str, set[str]] = {}
    for task in tasks:
        address = task["data"]["image"]
        assert address.startswith(LOCAL)
        assert address.isascii()
        assert " " not in address
        file = out / unquote(address.removeprefix(LOCAL))
        assert file.samefile(tmp_path / "photos" / task["data"]["path"])
        (result,) = task["predictions"][0]["result"]
        assert (result["from_name"], result["to_name"]) == (
            control.attrib["name"],
            image.attrib["name"],
        )
        (choice,) = result["value"]["choices"]
        groups.setdefault(choice, set()).add(task["data"]["path"])
    assert groups == EXPECTED | {"outliers": {OUTLIER}}


def test_images_may_be_served_from_elsewhere(edited: Run, tmp_path: Path) -> None:
    out = export_label_studio(edited, tmp_path / "out", prefix="https://example.org/").path
    tasks = json.loads((out / "tasks.json").read_text("utf-8"))
    assert tasks[0]["data"]["image"] == "https://example.org/images/1.jpg"
    with pytest.raises(HeadlightError, match="plain ASCII"):
        export_label_studio(edited, tmp_path / "other", prefix="https://é/\n")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(0, 99), st.text() | st.sampled_from(["a", "a (2)"])))
def test_any_names_make_a_set_up_that_reads_back(names: dict[int, str]) -> None:
    choices = list(unique_names({k: _printable(name) for k, name in names.items()}).values())
    assert len(set(choices)) == len(names)
    assert choices_of(configuration(choices)) == choices
