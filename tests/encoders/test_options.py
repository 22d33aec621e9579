from __future__ import annotations

import pytest

from headlight.encoders import load_encoder
from headlight.encoders.options import Options, split_options
from headlight.errors import HeadlightError


@pytest.mark.parametrize(
    ("spec", "name", "options"),
    [
        ("lite0", "lite0", Options()),
        ("lite0@160", "lite0", Options(size=160)),
        ("a@mean", "a", Options(pooling="mean")),
        ("a@160,cls", "a", Options(160, "cls")),
        ("a@cls,160", "a", Options(160, "cls")),
        ("hf:/home/me@work/model", "hf:/home/me@work/model", Options()),
        ("hf:/home/me@work/model@mean", "hf:/home/me@work/model", Options(pooling="mean")),
        ("a@", "a@", Options()),
        ("a@mean,", "a@mean,", Options()),
        ("a@-1", "a@-1", Options()),
    ],
)
def test_options_are_split_from_names(spec: str, name: str, options: Options) -> None:
    assert split_options(spec) == (name, options)


@pytest.mark.parametrize(
    "options", [Options(), Options(160), Options(None, "mean"), Options(96, "cls")]
)
def test_suffix_reads_as_the_same_options(options: Options) -> None:
    assert split_options(f"name{options.suffix}") == ("name", options)


@pytest.mark.parametrize("spec", ["a@1,2", "a@mean,cls", "a@mean,mean"])
def test_an_option_given_twice_is_refused(spec: str) -> None:
    with pytest.raises(HeadlightError, match="an option is given twice"):
        split_options(spec)


def test_options_that_an_encoder_does_not_have_are_refused() -> None:
    with pytest.raises(HeadlightError, match="lite0@mean: this encoder has no option @mean"):
        load_encoder("lite0@mean")


def test_usual_size_is_no_part_of_the_name() -> None:
    assert load_encoder("lite0@224").name == "lite0"
    assert load_encoder("lite0@160").name == "lite0@160"
