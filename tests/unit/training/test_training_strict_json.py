from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel.errors import InvalidInput
from spira.training.core.strict_json import parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 2]))
def test_what_the_standard_library_writes_is_read_alike(value: object, indent: int | None) -> None:
    assert parse(json.dumps(value, indent=indent), name="x").value == value


def test_every_value_knows_its_line() -> None:
    document = parse('{\n  "a": 1,\n  "b": {\n    "c": [\n      5,\n      6\n    ]\n  }\n}', name="x")

    assert document.line_of(("b", "c", 1)) == 6
    assert document.line_of(("b", "c")) == 4
    assert document.line_of(("b", "not there")) == 3


def test_all_duplicate_keys_are_told_with_path_and_line() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse('{\n"a": {"x": 1,\n"x": 2},\n"a": 3}', name="c.json")

    assert [str(one) for one in caught.value.problems] == [
        "c.json, line 3, a.x: is there twice (keep one)",
        "c.json, line 4, a: is there twice (keep one)",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{\n// c\n"a": 1}', "line 2.*JSON has no comments"),
        ('{"a": 1,\n}', "line 2.*no comma before a closing bracket"),
        ('{"a": NaN}', "expected a value"),
        ('{"a": 01}', "expected ','"),
        ("{'a': 1}", "quotes"),
        ('{"a": 1} x', "something follows"),
        ('{"a": "x\ny"}', "is no JSON text"),
        ("", "expected a value"),
        ("[" * 100, "nested"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        parse(text, name="c.json")
