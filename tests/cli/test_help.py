"""What ``headlight --help`` and the help of each command show."""

from __future__ import annotations

import re
import shlex
from typing import Any, get_args

import pytest
import typer.main
from typer.testing import CliRunner

import headlight
from headlight.cli.commands import app
from headlight.cli.looking import Format
from headlight.export import EXPORTS

PROGRAM = typer.main.get_command(app)
EDITS = PROGRAM.commands["edit"].commands
COMMANDS = {name: (name,) for name in PROGRAM.commands} | {
    f"edit {name}": ("edit", "RUN", name) for name in EDITS
}


def command_of(name: str) -> Any:
    first, _, second = name.partition(" ")
    return EDITS[second] if second else PROGRAM.commands[first]


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "-h"], env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert result.exit_code == 0
    return result.output


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.output == f"headlight {headlight.__version__}\n"
    assert result.exit_code == 0


def test_every_command_is_summarised_in_one_uncut_sentence_of_its_group() -> None:
    shown = help_of() + help_of("edit")
    assert "no labels needed" in shown
    for group in ("Cluster", "Review and export", "Encoders and benchmarks", "Edits", "History"):
        assert f"─ {group} ─" in shown
    for name in (*PROGRAM.commands, *EDITS):
        (line,) = re.findall(rf"│ {name} {{2,}}(.*?) *│", shown)
        assert line.endswith("."), name


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_are_valid_command_lines(name: str) -> None:
    examples = re.findall(
        r"^ *headlight (.*?) *$", help_of(*COMMANDS[name]).split("Examples:")[1], re.M
    )
    assert examples
    for example in examples:
        words, at = shlex.split(example), len(COMMANDS[name])
        last = COMMANDS[name][-1]
        assert words[at - 1] == last
        command_of(name).make_context(last, words[at:])  # parses, calls nothing


def test_choices_are_shown_and_are_those_there_are() -> None:
    assert list(get_args(Format)) == list(EXPORTS)
    shown = " ".join(help_of("export").replace("│", " ").split())
    assert ", ".join(EXPORTS) in shown
    assert "robust|paper" in help_of("cluster")
    refused = CliRunner().invoke(app, ["cluster", "x", "--recipe", "best"])
    assert refused.exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_long_form_and_a_description(name: str) -> None:
    for parameter in command_of(name).params:
        assert parameter.help or parameter.name == "help", parameter.name
        if parameter.param_type_name == "option":
            assert any(form.startswith("--") for form in parameter.opts), parameter.opts
