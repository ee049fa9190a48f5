"""Every problem type is listed by its service, so that the `type` of a problem document leads to a page."""

import ast
import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

import services.polls.problems
import services.token_authority.problems
from shared.runtime.http.problem_types import ProblemType

ROOT = Path(__file__).parents[2]
WHERE = {
    services.token_authority.problems: ("services/token_authority", "shared/runtime"),
    services.polls.problems: ("services/polls", "shared/runtime", "shared/guard"),
}
"""The folders whose problem types each service may report."""


@pytest.mark.parametrize("problems", WHERE, ids=lambda module: module.__name__)
def test_service_lists_every_problem_type_that_it_declares(problems: ModuleType) -> None:
    declared = [kind for folder in WHERE[problems] for kind in _kinds_in(ROOT / folder)]

    assert Counter(kind.slug for kind in problems.PROBLEM_TYPES) == Counter(kind.slug for kind in declared)


@pytest.mark.parametrize("problems", WHERE, ids=lambda module: module.__name__)
def test_problem_types_of_a_service_have_different_slugs(problems: ModuleType) -> None:
    declared = {kind for folder in WHERE[problems] for kind in _kinds_in(ROOT / folder)}

    assert max(Counter(kind.slug for kind in declared).values()) == 1


def test_problem_types_of_two_services_with_one_slug_have_one_status_and_title() -> None:
    declared = {
        (kind.slug, kind.status, kind.title)
        for folders in WHERE.values()
        for folder in folders
        for kind in _kinds_in(ROOT / folder)
    }

    assert max(Counter(slug for slug, _, _ in declared).values()) == 1


def test_problem_type_of_the_proxy_has_a_page() -> None:
    config = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")

    kinds = [kind for kind in services.polls.problems.PROBLEM_TYPES if f'"{kind.path}"' in config]

    assert [(kind.slug, f'"title": "{kind.title}"' in config) for kind in kinds] == [("unavailable", True)]
    assert config.count("/docs/problems/") == 1


def _kinds_in(folder: Path) -> list[ProblemType]:
    """Return the problem types in the modules of a folder. Each has to be a constant of its module."""
    kinds = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [
            ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign) and _makes(node.value)
        ]
        assert len(names) == sum(map(_makes, ast.walk(tree))), f"{path} creates a problem type that is not a constant"
        if names:
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            kinds += [getattr(module, name) for name in names]
    return kinds


def _makes(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ProblemType"
