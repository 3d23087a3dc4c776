import pytest
from jinja2 import UndefinedError

from windhover.ui.templates import render


def test_what_is_said_is_escaped():
    page = render("problem.html", problem="<script>alert('x')</script>", asked=False)
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_a_value_a_page_needs_and_does_not_get_is_an_error():
    with pytest.raises(UndefinedError):
        render("problem.html")
