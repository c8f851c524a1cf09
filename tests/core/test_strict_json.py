"""authx.core.strict_json: one reading, one spelling."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core import strict_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_an_object_is_read():
    assert strict_json.loads('{"a":[1,2.5,true,null,"é"]}'.encode()) == {"a": [1, 2.5, True, None, "é"]}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32-be"),
    ],
)
def test_anything_but_one_utf8_object_is_refused(raw):
    with pytest.raises(ValueError, match=r"\w"):
        strict_json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"b":{"a":1,"a":2}}',
        b'{"b":[[{"a":1,"a":2}]]}',
    ],
)
def test_duplicate_names_are_refused_at_any_depth(raw):
    with pytest.raises(ValueError, match="duplicate"):
        strict_json.loads(raw)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_only_finite_numbers_are_read(number):
    with pytest.raises(ValueError, match="Out of range"):
        strict_json.loads(b'{"a":[%s]}' % number.encode())


@pytest.mark.parametrize("raw", [b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":["x\\udc00\\ud800"]}'])
def test_lone_surrogates_are_refused(raw):
    with pytest.raises(ValueError, match="surrogates"):
        strict_json.loads(raw)


def test_a_pair_of_surrogates_is_one_character():
    assert strict_json.loads(b'{"a":"\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


def test_a_number_too_long_to_convert_is_refused():
    with pytest.raises(ValueError, match="digits"):
        strict_json.loads(b'{"a":%s}' % (b"9" * 5000))


def test_eight_levels_are_read_and_nine_are_not():
    assert strict_json.loads(nested(8))
    with pytest.raises(ValueError, match="deep"):
        strict_json.loads(nested(9))


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
@pytest.mark.parametrize("depth", [9, 900, 3_000, 100_000])
def test_deep_nesting_is_refused_whichever_brackets_are_used(brackets, depth):
    left, right = brackets
    with pytest.raises(ValueError, match="deep"):
        strict_json.loads(b'{"a":' + left * depth + b"1" + right * depth + b"}")
    with pytest.raises(ValueError, match=r"\w"):
        strict_json.loads(b'{"a":' + left * depth)


def test_writing_is_canonical():
    assert strict_json.dumps({"b": "é/", "a": [1, {"d": None, "c": True}]}) == (
        '{"a":[1,{"c":true,"d":null}],"b":"é/"}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", [[[[[[[[[]]]]]]]]]])
def test_what_would_not_be_read_is_not_written(value):
    with pytest.raises(ValueError, match=r"\w"):
        strict_json.dumps({"a": value})


def test_a_tuple_counts_as_a_level_too():
    with pytest.raises(ValueError, match="deep"):
        strict_json.dumps({"a": (((((((((),),),),),),),),)})


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_is_written_reads_the_same(value):
    try:
        raw = strict_json.dumps(value)
    except ValueError:
        return
    assert strict_json.loads(raw) == value
    assert strict_json.dumps(strict_json.loads(raw)) == raw


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_value_error_escapes(raw):
    with suppress(ValueError):
        assert isinstance(strict_json.loads(raw), dict)
