import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.result import SHORTEST, table


def test_columns_are_as_wide_as_their_longest_word_and_rows_may_have_fewer_words() -> None:
    assert table([("a", "b", "c"), ("long", "b", "longer")]) == ["a     b  c", "long  b  longer"]
    assert table([("a", "b", "c"), ("longer", "b")]) == ["a       b  c", "longer  b"]
    assert table([]) == table([], 100) == []


@pytest.mark.parametrize(("width", "last"), [(17, "b" * 11), (16, "bbbbbbbbb…"), (1, "bbbbbbb…")])
def test_the_widest_column_is_shortened_first_and_none_below_the_shortest(width: int, last: str) -> None:
    assert table([("aaaa", "b" * 11)], width) == [f"aaaa  {last}"]


@given(st.lists(st.tuples(*[st.text("ab", max_size=60)] * 3), min_size=1), st.integers(3 * SHORTEST + 4, 120))
def test_every_line_fits_the_width(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(len(line) <= width for line in table(rows, width))
