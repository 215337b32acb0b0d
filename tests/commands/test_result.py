import re

from hypothesis import given
from hypothesis import strategies as st

from answer import columns, short

WORDS = st.text("abc", min_size=1, max_size=9)


def test_columns_are_as_wide_as_their_longest_word() -> None:
    assert columns([("a", "b", "c"), ("long", "b", "longer")]) == "a     b  c\nlong  b  longer"


def test_rows_may_have_fewer_words_than_others() -> None:
    assert columns([("a", "b", "c"), ("longer", "b")]) == "a       b  c\nlonger  b"


def test_no_rows_are_no_text() -> None:
    assert columns([]) == ""


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1))
def test_every_word_is_there_and_every_column_begins_at_one_place(rows: list[tuple[str, str, str]]) -> None:
    lines = columns(rows).splitlines()

    assert [tuple(line.split()) for line in lines] == rows
    assert len({tuple(word.start() for word in re.finditer(r"\S+", line)) for line in lines}) == 1


@given(st.text("0123456789abcdef", max_size=64))
def test_a_short_hash_is_the_beginning_of_the_whole_one(digest: str) -> None:
    assert digest.startswith(short(digest))
    assert len(short(digest)) == min(len(digest), 12)
