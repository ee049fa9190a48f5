"""A kind of problem that a service can tell is one that it lists, so that the `type` of a document leads somewhere."""

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
"""The folders whose problems each service can tell."""


@pytest.mark.parametrize("problems", WHERE, ids=lambda module: module.__name__)
def test_a_service_lists_every_kind_that_it_can_tell(problems: ModuleType) -> None:
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


def test_what_the_proxy_tells_has_a_page() -> None:
    told = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")

    kinds = [kind for kind in services.polls.problems.PROBLEM_TYPES if f'"{kind.path}"' in told]

    assert [(kind.slug, f'"title": "{kind.title}"' in told) for kind in kinds] == [("unavailable", True)]
    assert told.count("/docs/problems/") == 1


def _kinds_in(folder: Path) -> list[ProblemType]:
    """Those that the folder's modules declare; each has to be a constant of its module, not made on the way."""
    kinds = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [
            ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign) and _makes(node.value)
        ]
        assert len(names) == sum(map(_makes, ast.walk(tree))), f"{path} makes a kind that has no name"
        if names:
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            kinds += [getattr(module, name) for name in names]
    return kinds


def _makes(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ProblemType"
