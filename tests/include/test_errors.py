"""What is done about an error is said once: in the code that does it, and on the page that explains it."""

import re
from importlib import import_module

import pytest
from pydantic import ValidationError

from include import errors
from include.data.sources.names import UnfitFileError
from include.errors import FINAL, FOREIGN, STAGES, Handling, PermanentError, TransientError, find_handling
from include.settings import REPOSITORY
from include.vision.rejection import RejectedImageError
from windhover.defaults import RETRY_UNLESS_PERMANENT

PAGE = (REPOSITORY / "docs" / "errors.md").read_text()
ROW = re.compile(r"^\| `([\w.]+)` \| `(\w+)` \|", re.MULTILINE)
OURS = {
    kind.__name__: kind.handling
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PermanentError | TransientError)
}


def load(name: str) -> type[BaseException]:
    module, _, kind = name.rpartition(".")
    return getattr(import_module(module), kind)


def make(kind: type[BaseException]) -> BaseException:
    return kind.from_exception_data("x", []) if kind is ValidationError else kind.__new__(kind)


def test_the_page_lists_every_class_with_its_handling_and_no_other():
    listed = dict(ROW.findall(PAGE))
    assert listed == {
        **OURS,
        **{name.removeprefix("builtins."): handling for name, handling in (STAGES | FOREIGN).items()},
    }
    assert len(listed) >= 15


def test_the_page_explains_every_handling():
    explained = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert sorted(explained) == sorted({*OURS.values(), *STAGES.values(), *FOREIGN.values()})
    assert set(explained) == set(Handling.__args__)


@pytest.mark.parametrize("name", [*STAGES, *FOREIGN])
def test_every_name_is_that_of_a_class(name):
    kind = load(name)
    assert f"{kind.__module__}.{kind.__qualname__}" == name
    assert find_handling(make(kind)) == (STAGES | FOREIGN)[name]


@pytest.mark.parametrize("name", OURS)
def test_what_is_permanent_is_never_tried_again_by_itself(name):
    kind = vars(errors)[name]
    assert (kind.handling in FINAL) == issubclass(kind, PermanentError)


@pytest.mark.parametrize("name", [*OURS, *STAGES, *FOREIGN])
def test_the_tasks_do_what_is_said(name):
    kind = vars(errors)[name] if name in OURS else load(name)
    decision = RETRY_UNLESS_PERMANENT.evaluate(make(kind), try_number=1, max_tries=3)
    assert (decision.action.value == "fail") == (find_handling(make(kind)) in FINAL)


def test_a_class_made_of_others_is_handled_as_the_nearest():
    assert find_handling(make(UnfitFileError)) == "quarantine"
    assert find_handling(make(RejectedImageError)) == "quarantine"
    assert find_handling(ConnectionResetError()) == "retry"
    assert find_handling(ZeroDivisionError()) == errors.UNFORESEEN
