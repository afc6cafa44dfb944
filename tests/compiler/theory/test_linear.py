"""Linear arithmetic, held against Fourier-Motzkin elimination and its own solutions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.theory.linear import Constraint, Exhausted, Feasible, Infeasible, solve

RELATIONS = ("<=", "<", ">=", ">", "==")


def holds(constraint: Constraint, values: dict[int, Fraction]) -> bool:
    left = sum((c * values[v] for v, c in constraint.terms), Fraction(0))
    return {
        "<=": left <= constraint.bound,
        "<": left < constraint.bound,
        ">=": left >= constraint.bound,
        ">": left > constraint.bound,
        "==": left == constraint.bound,
    }[constraint.relation]


def eliminates(constraints: list[Constraint], variables: int) -> bool:
    """Feasibility by Fourier-Motzkin elimination: exponential, and obviously right."""
    rows: list[tuple[list[Fraction], Fraction, bool]] = []  # sum <= bound, or < where strict
    for constraint in constraints:
        line = [Fraction(0)] * variables
        for v, c in constraint.terms:
            line[v] += c
        if constraint.relation in ("<=", "<", "=="):
            rows.append((line, constraint.bound, constraint.relation == "<"))
        if constraint.relation in (">=", ">", "=="):
            rows.append(([-c for c in line], -constraint.bound, constraint.relation == ">"))
    for at in range(variables):
        ups = [r for r in rows if r[0][at] > 0]
        downs = [r for r in rows if r[0][at] < 0]
        rows = [r for r in rows if r[0][at] == 0]
        for up, down in product(ups, downs):
            a, b = up[0][at], -down[0][at]
            line = [b * x + a * y for x, y in zip(up[0], down[0], strict=True)]
            rows.append((line, b * up[1] + a * down[1], up[2] or down[2]))
    return all(bound > 0 if strict else bound >= 0 for _, bound, strict in rows)


@st.composite
def systems(draw: st.DrawFn) -> list[Constraint]:
    small = st.integers(-3, 3).map(Fraction)
    found = []
    for reason in range(1, draw(st.integers(1, 6)) + 1):
        terms = tuple((v, c) for v, c in enumerate(draw(st.tuples(small, small, small))) if c)
        found.append(Constraint(terms, draw(st.sampled_from(RELATIONS)), draw(small) / 2, reason))
    return found


@settings(max_examples=400, deadline=None)
@given(systems())
def test_feasibility_is_that_of_elimination_and_answers_can_be_checked(
    constraints: list[Constraint],
) -> None:
    answer = solve(constraints)
    assert isinstance(answer, Feasible) == eliminates(constraints, 3)
    if isinstance(answer, Feasible):
        values = {v: Fraction(0) for v in range(3)} | dict(answer.values)
        assert all(holds(c, values) for c in constraints)
    else:
        assert isinstance(answer, Infeasible)
        blamed = [c for c in constraints if c.reason in answer.reasons]
        assert not eliminates(blamed, 3)


@settings(max_examples=200, deadline=None)
@given(systems())
def test_whole_numbers_within_bounds_are_those_of_enumeration(
    constraints: list[Constraint],
) -> None:
    box = [
        Constraint(((v, Fraction(1)),), relation, Fraction(bound), 90 + v)
        for v in range(3)
        for relation, bound in (("<=", 3), (">=", -3))
    ]
    answer = solve(constraints + box, frozenset(range(3)))
    expected = any(
        all(holds(c, dict(enumerate(map(Fraction, point)))) for c in constraints)
        for point in product(range(-3, 4), repeat=3)
    )
    assert not isinstance(answer, Exhausted)
    assert isinstance(answer, Feasible) == expected
    if isinstance(answer, Feasible):
        assert all(value.denominator == 1 for value in answer.values.values())
