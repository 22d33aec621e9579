"""What other libraries say becomes one line."""

from __future__ import annotations

import errno

from headlight.errors import first_line, reason


def test_an_error_of_many_lines_becomes_one_of_at_most_200_letters() -> None:
    assert first_line(ValueError("\n first\n   second\n")) == "first"
    assert len(first_line(ValueError("x" * 500))) == 200


def test_an_error_without_text_is_called_by_its_type() -> None:
    assert first_line(StopIteration()) == "StopIteration"


def test_the_systems_reason_is_in_lower_case() -> None:
    assert reason(OSError(errno.EACCES, "Permission denied", "f")) == "permission denied"
    assert reason(OSError("Odd\nthing")) == "odd"
