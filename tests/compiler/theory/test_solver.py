"""The theory as a whole: what it calls possible can be shown, what it calls impossible never is."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import analyse, check_bytes
from routec.compiler.analysis.analysis import Analysis, open_analysis
from routec.compiler.analysis.run import Options
from routec.compiler.expr import Expr
from routec.compiler.interpreter import all_values, evaluate
from routec.compiler.theory.solver import Budget, Sat, Unknown, Unsat
from routec.dsl.diagnostic import Verdict
from tests.compiler.policies import Made, policies, requests, signal_values

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def opened(made: Made, budget: Budget | None = None) -> Analysis:
    checked = check_bytes("made.route", made.text.encode())
    return open_analysis(made.policy, checked.sources, budget)


def asked(analysis: Analysis, data: st.DataObject) -> list[Expr]:
    """Conditions of the policy, their negations, and conjunctions of two of these."""
    policy, table = analysis.policy, analysis.subject.table
    simple = [r.when.expr for r in (*policy.guards, *policy.routes, *policy.categories)]
    simple += [table.not_(x) for x in simple]
    pairs = data.draw(
        st.lists(st.tuples(st.sampled_from(simple), st.sampled_from(simple)), max_size=6)
    )
    return simple + [table.and_(pair) for pair in pairs]


@RELAXED
@given(st.data())
def test_every_answer_can_be_checked(data: st.DataObject) -> None:
    made = data.draw(policies())
    analysis = opened(made)
    conditions = asked(analysis, data)
    drawn = [
        all_values(
            made.policy, data.draw(requests(made.policy)), data.draw(signal_values(made.policy))
        )
        for _ in range(8)
    ]
    for condition in conditions:
        answer = analysis.subject.theory.solve(analysis.subject.theory.literal(condition))
        assert not isinstance(answer, Unknown)
        if isinstance(answer, Sat):
            witness = analysis.witnesses.find(
                answer.model, lambda w, c=condition: analysis.holds(c, w)
            )
            assert witness is not None, condition
        else:
            assert isinstance(answer, Unsat)
            assert not any(evaluate(condition, values) for values in drawn)


def test_a_hard_puzzle_ends_within_its_budget_and_is_called_unknown() -> None:
    """Ten pigeons do not fit into nine holes, but resolution needs exponentially long to see it."""
    holes, pigeons = range(9), range(10)
    names = {(x, h): f"p{x}_{h}" for x in pigeons for h in holes}
    fields = " ".join(f"{n}: bool = false" for n in names.values())
    sits = [f"({' or '.join(names[x, h] for h in holes)})" for x in pigeons]
    alone = [
        f"not ({names[x, h]} and {names[y, h]})"
        for h in holes
        for x in pigeons
        for y in pigeons
        if x < y
    ]
    text = (
        f"policy p\nrequest {{ {fields} other: bool = false }}\nmodel m {{ }}\n"
        f'guard hard {{ when {" and ".join(sits + alone)} reject 403 "x" }}\n'
        'route r priority 1 { when other to m tag "r" }\ndefault route d { to m }\n'
    )
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None
    analysis = open_analysis(checked.policy, checked.sources, Budget(query=300, total=3000))
    assert isinstance(analysis.subject.possible(checked.policy.guards[0].when.expr), Unknown)
    said = analyse(checked, Options(budget=Budget(query=300, total=3000))).findings
    assert [(f.code, f.verdict) for f in said if f.code in ("RC203", "RC212")] == [
        ("RC203", Verdict.UNKNOWN),
        ("RC212", Verdict.UNKNOWN),
    ]
    # Nothing else is lost because of it.
    route = checked.policy.routes[0]
    assert isinstance(analysis.subject.possible(analysis.subject.effective(route)), Sat)


def test_equal_policies_get_equal_answers() -> None:
    text = """policy p
    request { a: bool = false  n: int = 0  t: enum(x, y, z) = x }
    model m { }
    route one priority 3 { when a or n > 3 to m tag "1" }
    route two priority 3 { when n > 2 and t in [x, y] to m tag "2" }
    default route d { to m }
    """
    found = []
    for _ in range(2):
        checked = check_bytes("p.route", text.encode())
        assert checked.policy is not None
        analysis = open_analysis(checked.policy, checked.sources)
        meet = analysis.subject.both(
            *(analysis.subject.effective(r) for r in checked.policy.routes[:2])
        )
        answer = analysis.subject.possible(meet)
        assert isinstance(answer, Sat)
        witness = analysis.witnesses.find(answer.model, lambda w, c=meet, a=analysis: a.holds(c, w))
        assert witness is not None
        found.append((witness.attributes, witness.signals, witness.messages))
    assert found[0] == found[1]
