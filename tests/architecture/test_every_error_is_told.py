"""An error that a caller can cause has a row that says how it is told."""

import importlib
import inspect
import pkgutil

import services.polls.domain
import services.polls.problems
import services.token_authority.domain
import services.token_authority.problems
from shared.guard import GuardError
from shared.guard.problems import GUARD_PROBLEMS


def _errors_of(package: object) -> set[type[Exception]]:
    path, name = package.__path__, package.__name__  # type: ignore[attr-defined]
    modules = [importlib.import_module(f"{name}.{found.name}") for found in pkgutil.iter_modules(path)]
    return {
        error
        for module in modules
        for _, error in inspect.getmembers(module, inspect.isclass)
        if issubclass(error, Exception) and error.__module__.startswith(name)
    }


def test_every_error_of_the_authoritys_domain_has_a_row() -> None:
    assert _errors_of(services.token_authority.domain) <= services.token_authority.problems.PROBLEMS.keys()


def test_every_error_of_the_polls_domain_has_a_row() -> None:
    assert _errors_of(services.polls.domain) <= services.polls.problems.PROBLEMS.keys()


def test_every_error_of_the_guard_has_a_row() -> None:
    assert set(GuardError.__subclasses__()) == GUARD_PROBLEMS.keys()
