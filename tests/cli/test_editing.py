"""``headlight edit``: the app's edits from the command line."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from headlight.cli.commands import app
from headlight.errors import HeadlightError
from headlight.review import Review, load_run
from headlight.review.changes import clean_name
from headlight.review.finding import find_cluster, find_rows
from headlight.review.log import FILE, EditLog
from tests.conftest import contents, rewrite_info
from tests.explore.handmade import handmade_run
from tests.explore.serving import Server

KINDS = {"cats": 5, "dogs": 4, "cars": 3}


def make(folder: Path) -> Path:
    clusters = {kind: [f"{kind}/{i}.jpg" for i in range(n)] for kind, n in KINDS.items()}
    for path in [path for paths in clusters.values() for path in paths]:
        (folder / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / path).touch()
    return handmade_run(folder / "r.headlight", folder / "photos", clusters).path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make(tmp_path)


def edit(run: Path, *arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["edit", str(run), *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def data(run: Path, *arguments: object) -> dict[str, Any]:
    return json.loads(edit(run, arguments[0], "--json", *arguments[1:]).stdout)


def in_cluster(run: Path, cluster: int) -> list[str]:
    now = Review(load_run(run))
    paths = now.run.assignments["path"].to_pylist()
    return [paths[row] for row in np.flatnonzero(now.labels == cluster)]


def test_every_edit_says_what_it_did(run: Path) -> None:
    def group(cluster: int, name: str, size: int) -> dict[str, Any]:
        return {"id": cluster, "name": name, "size": size}

    cats, dogs, cars = group(0, "cats", 5), group(1, "dogs", 4), group(2, "cars", 3)
    autos, pups = group(2, "autos", 3), group(3, "pups", 1)
    for number, (arguments, what, groups, gone, edits) in enumerate(
        [
            (("rename", "cars", "autos"), "renaming to “autos”", [autos], [], 1),
            (("undo",), "renaming to “autos”", [cars], [], 0),
            (("redo",), "renaming to “autos”", [autos], [], 1),
            (
                ("move", "pups", "dogs/0.jpg", "--new"),
                "move of 1 image",
                [group(1, "dogs", 3), pups],
                [],
                2,
            ),
            (("undo",), "move of 1 image", [dogs], [3], 1),
            (
                ("move", "cats", "dogs/0.jpg", "dogs/1.jpg"),
                "move of 2 images",
                [group(0, "cats", 7), group(1, "dogs", 2)],
                [],
                2,
            ),
            (("undo",), "move of 2 images", [cats, dogs], [], 1),
            (
                ("outlier", "cats/0.jpg", "dogs/0.jpg"),
                "marking as outliers: 2 images",
                [cats, dogs],
                [],
                2,
            ),
            (
                ("outlier", "cats/0.jpg", "--remove"),
                "taking outliers back: 1 image",
                [cats],
                [],
                3,
            ),
            (("done", "autos"), "marking as done", [autos], [], 4),
            (("done", 2, "--remove"), "marking as not done", [autos], [], 5),
            (("merge", 0, 1), "merge of 2 clusters", [group(0, "cats", 9)], [1], 6),
            (
                ("merge", 0, "--into", "autos"),
                "merge of 2 clusters",
                [group(2, "autos", 12)],
                [0],
                7,
            ),
        ],
        start=1,
    ):
        assert data(run, *arguments) == {
            "edit": arguments[0],
            "what": what,
            "groups": groups,
            "gone": gone,
            "run": str(run),
            "edits": edits,
            "version": number,
        }


def test_people_read_what_was_done(run: Path) -> None:
    done = edit(run, "merge", "cats", "[b]x[/b]", code=1)
    assert done.stderr == "headlight: there is no cluster with the number or name '[b]x[/b]'\n"
    edit(run, "rename", 1, "[b]x[/b] 🦋")
    done = edit(run, "merge", "cats", "[b]x[/b] 🦋", "--into", "[b]x[/b] 🦋")
    assert done.stdout == "merge of 2 clusters\n  1 [b]x[/b] 🦋: 9 images\n  no longer there: 0\n"
    assert "undo: merge of 2 clusters\n" in edit(run, "undo").stdout
    shown = edit(run, "log").stdout
    assert "renaming to “[b]x[/b] 🦋”   1          yes" in shown
    assert "merge of 2 clusters         0, 1       no" in shown
    assert "1 edit in force" in shown


def test_split_is_that_of_the_app(fitted_copy: Path) -> None:
    run = load_run(fitted_copy)
    result = data(fitted_copy, "split", 0, "--parts", 3)
    assert [group["id"] for group in result["groups"]] == [0, 3, 4]
    assert sum(group["size"] for group in result["groups"]) == 12
    assert result["groups"][0]["size"] == max(group["size"] for group in result["groups"])
    now = Review(load_run(fitted_copy))
    assert set(now.labels[run.assignments["cluster"].to_numpy() == 0]) == {0, 3, 4}
    assert len(data(fitted_copy, "split", 1)["groups"]) == 2
    for parts, why in ((1, "choose 2 to 50"), (51, "choose 2 to 50"), (13, "12 images can't")):
        assert why in edit(fitted_copy, "split", 2, "--parts", parts, code=1).stderr


def test_the_app_and_the_command_leave_the_same_log(fitted_copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="the app (pip install 'headlight-images[explore]')")
    pytest.importorskip("uvicorn", reason="the app (pip install 'headlight-images[explore]')")
    run = Path(shutil.copytree(fitted_copy, tmp_path / "command.headlight"))
    paths = load_run(run).assignments["path"].to_pylist()
    server = Server(fitted_copy)
    version = 0
    for arguments, name, body in [
        (["rename", 0, " The  “first” "], "rename", {"cluster": 0, "name": " The  “first” "}),
        (["split", 1, "--parts", 3], "split", {"cluster": 1, "parts": 3}),
        (["move", 2, paths[8], paths[0], paths[7]], "move", {"cluster": 2, "rows": [0, 7, 8]}),
        (["move", "lone", paths[5], "--new"], "move", {"rows": [5], "name": "lone"}),
        (["outlier", paths[4], paths[3]], "outlier", {"rows": [3, 4], "value": True}),
        (["outlier", paths[3], "--remove"], "outlier", {"rows": [3], "value": False}),
        (["done", 2], "done", {"cluster": 2, "value": True}),
        (["done", 2, "--remove"], "done", {"cluster": 2, "value": False}),
        (["undo"], "undo", {}),
        (["undo"], "undo", {}),
        (["redo"], "redo", {}),
        (["merge", 2, "The “first”", 3], "merge", {"clusters": [2, 0, 3], "into": 2}),
    ]:
        edit(run, *arguments)
        status, answer = server.ask(f"/api/{name}", body | {"version": version})
        assert status == 200, answer
        version = answer["state"]["version"]

    def lines(run: Path) -> list[dict[str, Any]]:
        log = EditLog(run, load_run(run).fit.id)
        return [{k: v for k, v in line.items() if k != "at"} for _, line in log.read()]

    assert lines(run) == lines(fitted_copy)
    logs = [data(folder, "log") for folder in (run, fitted_copy)]
    assert all(line.pop("at").startswith("20") for log in logs for line in log["log"])
    assert [log.pop("run") for log in logs] == [str(run), str(fitted_copy)]
    assert logs[0] == logs[1]
    assert [line["in_force"] for line in logs[0]["log"]] == [True] * 7 + [False, True]
    edit(fitted_copy, "rename", 2, "seen by the app")
    answer = server.ask("/api/done", {"cluster": 2, "value": False})[1]
    assert "seen by the app" in [cluster["name"] for cluster in answer["state"]["clusters"]]
    server.kill()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rename", "cows", "x"], "there is no cluster with the number or name 'cows'"),
        (["rename", "Cat", "x"], "'Cat'; nearest: 'cats'"),
        (["rename", 3, "x"], "no cluster with the number or name '3'"),
        (["rename", 0, "cars"], "another cluster is called 'cars'"),
        (["rename", 0, "two\nlines"], "can't hold line breaks"),
        (["rename", 0, "\x1b[31mred"], "control characters"),
        (["rename", 0, " "], "can't be empty"),
        (["rename", 0, "x" * 201], "too long"),
        (["merge", 0], "two clusters or more"),
        (["merge", 0, "cats"], "two clusters or more"),
        (["merge", 0, 9], "name '9'"),
        (["merge", 0, 1, "--into", "dog"], "nearest: 'dogs'"),
        (["move", "cats", "cats/0.jpg", "nowhere.jpg"], "'nowhere.jpg' is not an image of"),
        (["move", "cats", "a", "dogs/0.jpg", "b"], "'a' is not an image of {run} (and 1 other)"),
        (["move", "pups", "dogs/0.jpg"], "name 'pups'"),
        (["move", "cars", "dogs/0.jpg", "--new"], "another cluster is called 'cars'"),
        (["split", 0, "--parts", 6], "features"),
        (["outlier", "cats"], "'cats' is not an image of"),
        (["outlier", "cats/0.jpg", "--remove"], "no outliers"),
        (["outlier", "\udcff.jpg"], "'\\udcff.jpg' is not an image of"),
        (["done", 0, "--remove"], "not marked as done"),
        (["undo"], "nothing to undo"),
        (["redo"], "nothing to redo"),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(
    run: Path, arguments: list[Any], why: str
) -> None:
    before = contents(run)
    for output in ([], ["--json"]):
        done = edit(run, *arguments, *output, code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("headlight: ")
        assert done.stderr.count("\n") == 1
        assert why.format(run=run) in done.stderr
    assert contents(run) == before


def test_runs_that_cannot_be_edited_are_refused(run: Path, tmp_path: Path) -> None:
    assert "no such run folder" in edit(tmp_path / "x", "log", code=1).stderr
    edit(run, "rename", 0, "x")
    (run / FILE).write_text("{}\n")
    before = contents(run)
    for arguments in (["log"], ["undo"], ["rename", 0, "y"]):
        assert FILE in edit(run, *arguments, code=1).stderr
    assert contents(run) == before
    rewrite_info(run, lambda info: info.update(fit=None))
    assert "no clusters yet" in edit(run, "log", code=1).stderr


def test_wrong_usage_is_exit_2(run: Path) -> None:
    for arguments in ([], ["explode"], ["split", 0, "--parts", "two"], ["move", 0], ["rename", 0]):
        edit(run, *arguments, code=2)


def test_a_forgotten_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["rename", 3, "Shoes"], ["undo"]):
        said = edit(Path(arguments[0]), *arguments[1:], code=2).stderr
        assert f"headlight edit RUN {arguments[0]}" in said


def test_edits_of_an_earlier_fit_are_mentioned(run: Path) -> None:
    edit(run, "rename", 0, "x")
    rewrite_info(run, lambda info: info["fit"].update(id="f" * 16))
    done = edit(run, "log", "--json")
    assert "1 edit of another review" in done.stderr
    assert json.loads(done.stdout) == {"log": [], "run": str(run), "edits": 0, "version": 1}
    assert edit(run, "log", "-q").stderr == ""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=8) | st.sampled_from(["1", "dogs", "[b]x", "🦋\u200d", "a\u2028b", "--x"]))
def test_a_name_is_only_text_or_refused(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = make(Path(folder))
        try:
            expected = clean_name(name)
        except HeadlightError:
            expected = ""
        if expected in ("", "dogs", "cars"):
            edit(run, "rename", "--", 0, name, code=1)
            assert Review(load_run(run)).names[0] == "cats"
            return
        edit(run, "rename", "--", 0, name)
        assert Review(load_run(run)).names == {0: expected, 1: "dogs", 2: "cars"}
        if expected in ("1", "2"):
            assert "could be cluster 0" in edit(run, "done", expected, code=1).stderr
        else:
            assert data(run, "done", "--", name)["groups"] == [
                {"id": 0, "name": expected, "size": 5}
            ]


group = st.sampled_from([0, 1, 2, 3, "cats", "dogs", "new", "odd name"])
file = st.builds("{}/{}.jpg".format, st.sampled_from(list(KINDS)), st.integers(0, 3))
files = st.lists(file, min_size=1, max_size=4)
commands = st.one_of(
    st.tuples(st.just("rename"), group, st.sampled_from(["new", "odd  name", "cats"])),
    st.tuples(st.just("merge"), group, group),
    st.tuples(st.just("done"), group),
    st.tuples(st.sampled_from(["undo", "redo"])),
    st.builds(lambda g, f: ("move", g, *f), group, files),
    st.builds(lambda g, f: ("move", g, *f, "--new"), group, files),
    st.builds(lambda f: ("outlier", *f), files),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(commands, max_size=8))
def test_whatever_was_done_is_undone_to_the_beginning(sequence: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = make(Path(folder))
        first = Review(load_run(run))
        in_force = version = 0
        for arguments in sequence:
            before = contents(run)
            done = CliRunner().invoke(
                app, ["edit", str(run), arguments[0], "--json", *map(str, arguments[1:])]
            )
            if done.exit_code:
                assert (done.exit_code, contents(run)) == (1, before)
                continue
            answer = json.loads(done.stdout)
            in_force += -1 if answer["edit"] == "undo" else 1
            version += 1
            assert (answer["edits"], answer["version"]) == (in_force, version)
            now = Review(load_run(run))
            assert answer["groups"] == [
                {"id": c, "name": now.names[c], "size": (now.labels == c).sum()}
                for c in sorted(one["id"] for one in answer["groups"])
            ]
            assert not now.names.keys() & set(answer["gone"])
        assert sum(line["in_force"] for line in data(run, "log")["log"]) == in_force
        for left in range(in_force - 1, -1, -1):
            assert data(run, "undo")["edits"] == left
        edit(run, "undo", code=1)
        now = Review(load_run(run))
        assert (now.names, now.done, now.n_edits) == (first.names, set(), 0)
        assert np.array_equal(now.labels, first.labels)
        assert not now.outlier.any()
        assert not any(line["in_force"] for line in data(run, "log")["log"])


def test_processes_that_edit_at_once_wait_for_one_another(run: Path) -> None:
    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "headlight", "edit", str(run), *arguments, "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    started = [start("move", f"new {i}", f"cats/{i}.jpg", "--new") for i in range(3)]
    started.append(start("outlier", "dogs/0.jpg"))
    answers = []
    for process in started:
        out, err = process.communicate()
        assert process.returncode == 0, err
        answers.append(json.loads(out))
    assert sorted(answer["version"] for answer in answers) == [1, 2, 3, 4]
    now = Review(load_run(run))
    assert sorted(now.names.values()) == sorted([*KINDS, "new 0", "new 1", "new 2"])
    named = {name: cluster for cluster, name in now.names.items()}
    for i in range(3):
        assert in_cluster(run, named[f"new {i}"]) == [f"cats/{i}.jpg"]
    assert now.outlier.sum() == 1


def test_a_cluster_is_found_by_number_or_exact_name() -> None:
    names = {0: "cats", 3: "Big dogs", 7: "3", 9: "same", 12: "same", 13: "日本"}
    assert find_cluster(names, "0") == find_cluster(names, "cats") == 0
    assert find_cluster(names, " Big   dogs ") == 3
    assert find_cluster(names, "日本") == 13
    for text, why in [
        ("3", r"'3' could be cluster 3 \('Big dogs'\) or 7 \('3'\)"),
        ("same", r"could be cluster 9 \('same'\) or 12"),
        ("CATS", "nearest: 'cats'$"),
        ("00", "name '00'$"),
        ("٠", "name '٠'$"),
        ("", "name ''$"),
        ("9" * 5000, "99'$"),
    ]:
        with pytest.raises(HeadlightError, match=why):
            find_cluster(names, text)


@given(st.dictionaries(st.integers(0, 30), st.text("012ab ", min_size=1, max_size=2), max_size=8))
def test_no_cluster_is_found_by_what_another_has_too(names: dict[int, str]) -> None:
    names = {cluster: name.strip() or "-" for cluster, name in names.items()}
    for text in {*names.values(), *map(str, names)}:
        having = [c for c, name in names.items() if text in (name, str(c))]
        if len(having) == 1:
            assert find_cluster(names, text) == having[0]
        else:
            with pytest.raises(HeadlightError, match="could be cluster"):
                find_cluster(names, text)


def test_an_image_is_found_by_its_path_or_its_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = load_run(run)
    paths = opened.assignments["path"].to_pylist()

    def found(*files: str | Path) -> list[str]:
        return [paths[row] for row in find_rows(opened, [str(file) for file in files])]

    photos = tmp_path / "photos"
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "one.jpg").symlink_to(photos / "dogs" / "2.jpg")
    monkeypatch.chdir(photos / "dogs")
    for file in (
        "dogs/2.jpg",
        "2.jpg",
        "./2.jpg",
        "../dogs/2.jpg",
        photos / "dogs" / "2.jpg",
        "../../link/dogs/2.jpg",
        tmp_path / "link" / "dogs" / "2.jpg",
        tmp_path / "link" / "cats" / ".." / "dogs" / "2.jpg",
        tmp_path / "one.jpg",
    ):
        assert found(file) == ["dogs/2.jpg"], file
    assert found("2.jpg", "cats/0.jpg", photos / "dogs" / "2.jpg") == ["cats/0.jpg", "dogs/2.jpg"]
    (tmp_path / "round").symlink_to("round")
    for file in ("9.jpg", "../2.jpg", "photos/dogs/2.jpg", "2.JPG", "/", "", tmp_path / "round"):
        with pytest.raises(HeadlightError, match="not an image of"):
            found(file)
    shutil.rmtree(photos / "cats")  # files that are gone still have their place
    assert found(photos / "cats" / "1.jpg", "cats/2.jpg") == ["cats/1.jpg", "cats/2.jpg"]


def test_links_inside_the_source_are_images_of_their_own(tmp_path: Path) -> None:
    photos, aside = tmp_path / "photos", tmp_path / "aside"
    for folder in (photos / "sub", aside):
        folder.mkdir(parents=True)
    (aside / "3.jpg").touch()
    (photos / "more").symlink_to(aside)
    (photos / "1.jpg").touch()
    (photos / "2.jpg").symlink_to("1.jpg")
    paths = ["1.jpg", "2.jpg", "more/3.jpg", "sub/1.jpg"]
    opened = handmade_run(tmp_path / "r", photos, {"a": paths[:2], "b": paths[2:]})
    assert find_rows(opened, [str(photos / "2.jpg")]).tolist() == [1]
    assert find_rows(opened, [str(photos / "more" / "3.jpg")]).tolist() == [2]
    with contextlib.chdir(photos / "sub"):
        with pytest.raises(HeadlightError, match="image '1.jpg' or 'sub/1.jpg': give the file's"):
            find_rows(opened, ["1.jpg"])
        assert find_rows(opened, ["./1.jpg"]).tolist() == [3]
        assert find_rows(opened, ["../1.jpg"]).tolist() == [0]


def test_images_of_other_sources_are_found_by_path(tmp_path: Path) -> None:
    opened = handmade_run(tmp_path / "r", "digits", {"a": ["0001", "0002"], "b": ["0003"]})
    assert find_rows(opened, ["0003", "0001"]).tolist() == [0, 2]
    with pytest.raises(HeadlightError, match="not an image"):
        find_rows(opened, [str(tmp_path / "0001")])
