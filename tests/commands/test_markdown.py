import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from commands.markdown import code, paragraphs, table, text
from record.problem import printable

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NASTY = st.text(st.sampled_from("`*_~[]()<>!#|&;\\$-+=:.1 a\n\t\u202e\"'é{}")) | st.text()


def shown(markdown: str) -> str:
    """The text of the last cell or paragraph as it is rendered, once it is sure that there is no markup in it."""
    *_, last = (token for token in READER.parse(markdown) if token.type == "inline")
    children = last.children or []
    assert {child.type for child in children} <= {"text", "code_inline", "softbreak", "text_special"}
    return "".join("\n" if child.type == "softbreak" else child.content for child in children)


def folded(words: str) -> str:
    return " ".join(words.split())


@given(NASTY)
@example("a <b>c</b> <!-- d --> &lt;")
@example("[a](b) ![c](d) `e` **f** ~~g~~ <https:x>")
def test_prose_shows_as_it_is(words: str) -> None:
    words = words.replace("http", "")

    for document in (f"is {text(words)}", "\n".join(table([""], [[f"is {text(words)}"]]))):
        assert folded(shown(document)) == folded(f"is {printable(words.strip())}")


@given(NASTY)
def test_a_name_shows_as_it_is(words: str) -> None:
    for document in (f"is {code(words)}", "\n".join(table([""], [[f"is {code(words)}"]]))):
        assert shown(document).rstrip() == f"is {printable(words)}".rstrip()


@given(NASTY)
@example("<div x\n<script")  # which begin a block without an end
def test_a_paragraph_is_a_paragraph_whatever_it_begins_with(words: str) -> None:
    for lines in paragraphs(words.replace("http", "")):
        tokens = READER.parse("\n".join(lines))

        assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])


@pytest.mark.parametrize(
    ("words", "link", "rest"),
    [
        ("See https://example.org/a_b?c=d&e=f.", "https://example.org/a_b?c=d&e=f", "See ."),
        ("(https://example.org/*x*)", "https://example.org/", "(*x*)"),
        ("http://a.b/<script>", "http://a.b/", "<script>"),
    ],
)
def test_an_address_is_a_link(words: str, link: str, rest: str) -> None:
    html = READER.render(text(words))
    (target,) = re.findall(r'<a href="([^"]*)"', html)

    assert target.replace("&amp;", "&") == link
    assert re.sub(r"<a .*</a>", "", html) == f"<p>{rest.replace('<', '&lt;').replace('>', '&gt;')}</p>\n"


def test_paragraphs_are_kept() -> None:
    assert list(paragraphs("one\ntwo\n \n\n- three\n")) == [["one", "two"], [r"\- three"]]
