"""Stand-ins for stage functions that accept exactly what the real ones accept, without their heavy imports."""

import ast
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.airflow_home import ROOT


class Stages:
    """Replaces functions of `include` for one test and keeps the arguments they were called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._modules: dict[str, ModuleType] = {}

    def replace(self, path: str, answer: Any) -> list[dict[str, Any]]:
        """Let `include.stage.module.function` return, call or raise the answer; return the list of its calls."""
        module, _, name = path.rpartition(".")
        signature = read_signature(module, name)
        calls: list[dict[str, Any]] = []

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            calls.append(signature.bind(*args, **kwargs).arguments)
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args, **kwargs) if callable(answer) else answer

        self.provide(module, name, stand_in)
        return calls

    def provide(self, module: str, name: str, thing: Callable[..., Any]) -> None:
        """Put something in the place of a name of a module that is not imported."""
        if module not in self._modules:
            self._modules[module] = ModuleType(module)
            self._monkeypatch.setitem(sys.modules, module, self._modules[module])
        setattr(self._modules[module], name, thing)


def read_signature(module: str, name: str) -> inspect.Signature:
    """Read what a function takes from its source, without importing it."""
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
    found = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == name)
    for argument in ast.walk(found.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    # A default may be a name of that module; whether there is one is all that counts here.
    found.args.defaults = [ast.Constant(None) for _ in found.args.defaults]
    found.args.kw_defaults = [default and ast.Constant(None) for default in found.args.kw_defaults]
    namespace: dict[str, Any] = {}
    exec(f"def {name}({ast.unparse(found.args)}): ...", namespace)  # noqa: S102 - our own source
    return inspect.signature(namespace[name])
