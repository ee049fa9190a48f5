"""Every error that a service defines has a row in its problem table, so that none becomes a 500."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import services.polls.domain
import services.polls.problems
import services.token_authority
import services.token_authority.domain.errors
import services.token_authority.problems
from shared.guard import GuardError
from shared.guard.problems import GUARD_PROBLEMS
from shared.runtime.http.problem import ProblemTable


def test_every_error_of_the_authority_has_a_row() -> None:
    assert not _without_row(_errors_defined_in(services.token_authority), services.token_authority.problems.PROBLEMS)


def test_every_error_of_the_authority_is_defined_in_the_module_for_errors() -> None:
    modules = {error.__module__ for error in _errors_defined_in(services.token_authority)}

    assert modules == {services.token_authority.domain.errors.__name__}


def test_every_error_of_the_polls_domain_has_a_row() -> None:
    assert _errors_defined_in(services.polls.domain) <= services.polls.problems.PROBLEMS.keys()


def test_every_error_of_the_guard_has_a_row() -> None:
    assert set(GuardError.__subclasses__()) == GUARD_PROBLEMS.keys()


def _without_row(errors: set[type[Exception]], table: ProblemTable) -> set[type[Exception]]:
    """Return the errors for which neither they nor a base class of theirs has a row."""
    return {error for error in errors if table.keys().isdisjoint(error.__mro__)}


def _errors_defined_in(package: ModuleType) -> set[type[Exception]]:
    """Return the exception classes that any module of the package defines."""
    prefix = f"{package.__name__}."
    found = pkgutil.walk_packages(package.__path__, prefix)
    modules = [importlib.import_module(module.name) for module in found if not module.name.endswith("__main__")]
    return {
        error
        for module in modules
        for _, error in inspect.getmembers(module, inspect.isclass)
        if issubclass(error, Exception) and error.__module__.startswith(prefix)
    }
