"""Records: how a passage's title and text become one."""

import pytest

from retort.records import passage_text


@pytest.mark.parametrize(("title", "joined"), [("Rome", "Rome. It is old."), ("", "It is old.")])
def test_a_passage_without_title_is_its_text_alone(title, joined):
    assert passage_text(title, "It is old.") == joined
