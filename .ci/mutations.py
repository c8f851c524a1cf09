"""The small changes of a module that a test should notice: cosmic-ray's and mutmut's operators on its source.

Left alone are annotations, decorators' arguments and prose: docstrings, what is logged, the texts of errors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cosmic_ray.plugins
import libcst
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

#: From line and column to line and column.
Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """A changed module."""

    line: int
    #: ``before -> after``, the lines that differ.
    change: str
    code: str


def mutants_of(source: str) -> list[Mutant]:
    """Return every different change of the source, by line."""
    spans, original = left_alone(source), ast.parse(source)
    seen = {ast.dump(original)}
    found = []
    for code in (*by_cosmic_ray(source, spans), *by_mutmut(source, spans)):
        try:
            changed = ast.parse(code)
        except SyntaxError:
            continue
        if (tree := ast.dump(changed)) not in seen and signatures(changed) == signatures(original):
            seen.add(tree)
            found.append(Mutant(*difference(source, code), code))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.change))


def by_cosmic_ray(source: str, spans: list[Span]) -> Iterator[str]:
    for name in cosmic_ray.plugins.operator_names():
        operator: Any = cosmic_ray.plugins.get_operator(name)
        if operator.arguments():  # the names of variables, different for each module
            continue
        places = [
            place for node in ast_nodes(get_ast(source)) for place in operator().mutation_positions(node)
        ]
        for occurrence, place in enumerate(places):
            if not is_within(place, spans):
                yield mutate_code(source, operator(), occurrence)


def by_mutmut(source: str, spans: list[Span]) -> Iterator[str]:
    """Also in functions with a decorator, which mutmut itself leaves out."""
    wrapper = MetadataWrapper(libcst.parse_module(source))
    for node, position in wrapper.resolve(PositionProvider).items():
        start, end = position.start, position.end
        if is_within(((start.line, start.column), (end.line, end.column)), spans):
            continue
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                for changed in operator(node):
                    yield wrapper.module.deep_replace(node, changed).code  # type: ignore[arg-type]


def signatures(tree: ast.AST) -> list[tuple[int, int]]:
    """Return how parameters are passed: cosmic-ray takes the ``*`` before some for a multiplication."""
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(len(each.args.posonlyargs), len(each.args.kwonlyargs)) for each in functions]


def left_alone(source: str) -> list[Span]:
    found: list[Any] = []
    for node in ast.walk(ast.parse(source)):
        found += [each for name in ("annotation", "returns") if (each := getattr(node, name, None))]
        found += [each for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Call)]
        is_error = isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_logged = isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger.")
        if is_error or is_docstring or is_logged:
            found.append(node)
    return [((each.lineno, each.col_offset), (each.end_lineno, each.end_col_offset)) for each in found]


def is_within(place: Span, spans: list[Span]) -> bool:
    return any(start <= place[0] and place[1] <= end for start, end in spans)


def difference(source: str, code: str) -> tuple[int, str]:
    """Return the first line that differs, and what the lines that differ were and are."""
    old, new = source.splitlines(), code.splitlines()
    first = next(n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1])
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    was, is_now = (lines[first : len(lines) - last] for lines in (old, new))
    before, after = (" ".join(" ".join(lines).split()) for lines in (was, is_now))
    return first + 1, f"{before} -> {after}".rstrip()
