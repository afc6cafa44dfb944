"""What vectors decide: the findings about similarities, and what stays unknown without vectors.

Vectors are made up so that angles are known; the last test takes those of MiniLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, radians, sin, sqrt
from pathlib import Path

import pytest

from routec.cli.main import main
from routec.compiler.check import Checked, analyse, check
from routec.compiler.lock import Lock, dump, make, parse
from routec.dsl.diagnostic import Diagnostic, Verdict

HEAD = """
policy shop "A shop"
request { tenant: string, tier: enum(free, pro) = free }
signal urgent = keyword("asap")
model mini { provider: openai }
model opus { provider: anthropic }
model local { provider: vllm }
default route rest { to mini }
"""

DIMENSION = 12


def at_angle(degrees: float, axis: int = 1) -> list[float]:
    """A unit vector at an angle to the first axis, towards another axis."""
    row = [0.0] * DIMENSION
    row[0] += cos(radians(degrees))
    row[axis] += sin(radians(degrees))
    return row


def analysed(folder: Path, text: str, vectors: Mapping[str, Sequence[float]] | None) -> Checked:
    file = folder / "shop.route"
    file.write_text(HEAD + text)
    if vectors is not None:
        (folder / "shop.lock").write_bytes(dump(make("sha256:d", [*vectors], vectors.values())))
    checked = check(file)
    assert checked.policy is not None, [f.message for f in checked.findings]
    return analyse(checked)


def found(checked: Checked) -> list[Diagnostic]:
    return [f for f in checked.findings if f.code != "RC207"]


def codes(checked: Checked) -> list[tuple[str, Verdict]]:
    return [(f.code, f.verdict) for f in found(checked)]


TWO = """
signal refund = similarity { examples: ["refund"] }
signal cancel = similarity { examples: ["cancel"] }
"""

SAME_PRIORITY = (
    TWO
    + """
route refunds priority 50 { when refund >= 0.8 to local }
route cancels priority 50 { when cancel >= 0.8 to opus }
"""
)


# --- RC213 ------------------------------------------------------------------------------


def test_routes_that_meet_only_between_two_signals_touch(tmp_path: Path) -> None:
    vectors = {"refund": at_angle(0), "cancel": at_angle(60)}
    [finding] = found(analysed(tmp_path, SAME_PRIORITY, vectors))
    assert (finding.code, finding.verdict) == ("RC213", Verdict.PROVED)
    assert finding.subjects == ("cancels", "refunds")
    assert finding.message == (
        "`cancels` and `refunds` have priority 50, and a text can be near to both `cancel` and "
        "`refund`: their nearest examples have cosine 0.50"
    )
    # Two caps of one radius part where it is half the angle: cos 30 degrees is 0.8660.
    assert finding.help is not None
    assert finding.help.startswith("thresholds of 0.867 and above keep the two apart")
    assert finding.witness is not None
    values = finding.witness["signals"]
    assert values["refund"] >= 0.8
    assert values["cancel"] >= 0.8
    # One vector has both values: the angles to the two examples reach from one to the other.
    assert possible_at(values["refund"], values["cancel"], 0.5)


def possible_at(one: float, other: float, cosine: float) -> bool:
    spread = sqrt((1 - one * one) * (1 - other * other))
    return one * other - spread - 1e-6 <= cosine <= one * other + spread + 1e-6


def test_regions_apart_decide_nothing_twice(tmp_path: Path) -> None:
    vectors = {"refund": at_angle(0), "cancel": at_angle(80)}  # caps of 36.9 degrees each
    assert found(analysed(tmp_path, SAME_PRIORITY, vectors)) == []


def test_routes_that_meet_anyway_are_a_conflict_not_a_touch(tmp_path: Path) -> None:
    text = TWO + (
        "route refunds priority 50 { when refund >= 0.8 or urgent to local }\n"
        "route cancels priority 50 { when cancel >= 0.8 to opus }\n"
    )
    vectors = {"refund": at_angle(0), "cancel": at_angle(60)}
    assert codes(analysed(tmp_path, text, vectors)) == [("RC201", Verdict.PROVED)]


def test_the_nearest_of_several_examples_count(tmp_path: Path) -> None:
    text = SAME_PRIORITY.replace('["cancel"]', '["cancel", "stop"]')
    vectors = {"refund": at_angle(0), "cancel": at_angle(90), "stop": at_angle(70, 2)}
    [finding] = found(analysed(tmp_path, text, vectors))
    assert finding.code == "RC213"
    assert "cosine 0.34" in finding.message
    assert finding.help is not None
    assert "0.82 and above" in finding.help  # cos 35 degrees is 0.8192


# --- RC214 ------------------------------------------------------------------------------

MEAN = """
signal billing = similarity { examples: ["pay my bill", "who won"], reduce: mean }
route bills priority 50 { when billing >= 0.8 to opus }
"""


def test_the_mean_of_examples_that_differ_is_too_short(tmp_path: Path) -> None:
    vectors = {"pay my bill": at_angle(0), "who won": at_angle(90)}
    [finding] = found(analysed(tmp_path, MEAN, vectors))
    assert (finding.code, finding.verdict) == ("RC214", Verdict.PROVED)
    assert finding.message == "no text satisfies `billing >= 0.8`: `billing` is at most 0.707"
    assert finding.subjects == ("billing",)


def test_the_mean_of_examples_that_agree_is_long_enough(tmp_path: Path) -> None:
    vectors = {"pay my bill": at_angle(0), "who won": at_angle(60)}  # the mean has length 0.866
    assert found(analysed(tmp_path, MEAN, vectors)) == []


def test_a_contrast_cannot_exceed_the_distance_of_its_examples(tmp_path: Path) -> None:
    text = """
signal effort = contrast { high: ["prove"], low: ["hello"] }
route hard priority 50 { when effort > 0.9 to opus }
"""
    near = {"prove": at_angle(0), "hello": at_angle(40)}  # at distance 2 sin 20 degrees = 0.684
    [finding] = found(analysed(tmp_path, text, near))
    assert finding.code == "RC214"
    assert "`effort` is at most 0.684" in finding.message
    far = {"prove": at_angle(0), "hello": at_angle(90)}
    assert found(analysed(tmp_path, text, far)) == []


def test_a_failure_value_beyond_what_texts_reach_is_mentioned(tmp_path: Path) -> None:
    text = MEAN.replace("reduce: mean", "reduce: mean, on_error: 1")
    vectors = {"pay my bill": at_angle(0), "who won": at_angle(90)}
    [finding] = found(analysed(tmp_path, text, vectors))
    assert finding.code == "RC214"
    assert "only its failure value does" in finding.message


BOTH = (
    TWO + "route both priority 50 { when tier == pro and refund >= 0.8 and cancel >= 0.8 to opus }"
)


def test_regions_that_cannot_meet_make_a_condition_impossible(tmp_path: Path) -> None:
    apart = {"refund": at_angle(0), "cancel": at_angle(80)}
    [finding] = found(analysed(tmp_path, BOTH, apart))
    assert (finding.code, finding.verdict) == ("RC214", Verdict.PROVED)
    assert finding.message == (
        "no text satisfies the condition of route `both`: `refund >= 0.8` and `cancel >= 0.8` "
        "do not go together, by the vectors of `refund` and `cancel`"
    )
    meeting = {"refund": at_angle(0), "cancel": at_angle(60)}
    assert found(analysed(tmp_path, BOTH, meeting)) == []


def test_three_caps_that_meet_in_pairs_need_not_all_meet(tmp_path: Path) -> None:
    """Centres 90 degrees from each other: each two meet from 1/sqrt 2 down, all three from 1/sqrt 3."""
    text = """
signal a = similarity { examples: ["a"] }
signal b = similarity { examples: ["b"] }
signal c = similarity { examples: ["c"] }
route all priority 50 { when a >= 0.6 and b >= 0.6 and c >= 0.6 to opus }
"""
    vectors = {"a": at_angle(0), "b": at_angle(90, 1), "c": at_angle(90, 2)}
    [finding] = found(analysed(tmp_path, text, vectors))
    assert finding.code == "RC214"
    assert "`a >= 0.6` and `b >= 0.6` and `c >= 0.6`" in finding.message
    assert found(analysed(tmp_path, text.replace("0.6", "0.57"), vectors)) == []


# --- what follows for other rules ---------------------------------------------------------


def test_a_cap_inside_another_is_shadowed(tmp_path: Path) -> None:
    text = TWO + (
        "route wide priority 60 { when refund >= 0.5 to mini }\n"
        "route narrow priority 50 { when cancel >= 0.95 to opus }\n"
    )
    inside = {"refund": at_angle(0), "cancel": at_angle(30)}  # 18.2 + 30 degrees are below 60
    [finding] = found(analysed(tmp_path, text, inside))
    assert (finding.code, finding.verdict) == ("RC202", Verdict.PROVED)
    assert finding.witness is not None
    assert finding.witness["signals"]["refund"] >= 0.5
    outside = {"refund": at_angle(0), "cancel": at_angle(45)}
    assert found(analysed(tmp_path, text, outside)) == []


def test_signals_that_fail_together_can_be_what_no_text_makes_them(tmp_path: Path) -> None:
    text = TWO.replace('["cancel"]', '["cancel"], on_error: 1').replace(
        '["refund"]', '["refund"], on_error: 1'
    )
    text += "route both priority 50 { when refund >= 0.8 and cancel >= 0.8 to opus }"
    apart = {"refund": at_angle(0), "cancel": at_angle(80)}
    assert found(analysed(tmp_path, text, apart)) == []


def test_a_score_adds_up_what_one_vector_can_give(tmp_path: Path) -> None:
    """``refund + cancel`` is at most ``2 cos 40 degrees``, 1.532, for centres 80 degrees apart."""
    text = (
        TWO
        + """
signal need = score { refund + cancel + 0.1 * urgent }
signal band = bands(need) { low: < 1, mid: < 1.7, high }
route top priority 50 { when band == high to opus }
route warm priority 40 { when band == mid and refund >= 0.2 to opus with { max_tokens: 9 } }
"""
    )
    vectors = {"refund": at_angle(0), "cancel": at_angle(80)}
    assert ("RC210", Verdict.PROVED) in codes(analysed(tmp_path, text, vectors))
    reachable = text.replace("1.7", "1.6")  # with the urgent tenth
    assert found(analysed(tmp_path, reachable, vectors)) == []
    nearest = reachable.replace('["cancel"]', '["cancel", "stop"]')
    more = {**vectors, "stop": at_angle(120, 2)}
    assert found(analysed(tmp_path, nearest, more)) == []
    assert ("RC210", Verdict.PROVED) in codes(
        analysed(tmp_path, nearest.replace("1.6", "1.7"), more)
    )


def test_a_score_of_similarities_and_a_classifier(tmp_path: Path) -> None:
    text = (
        TWO
        + """
signal topic = classifier("topic") { labels: [law, code], on_error: code }
signal need = score { refund + cancel + topic.law }
route top priority 50 { when need >= 2.6 to opus }
"""
    )
    vectors = {"refund": at_angle(0), "cancel": at_angle(80)}
    findings = found(analysed(tmp_path, text, vectors))
    assert [(f.code, f.verdict) for f in findings] == [("RC214", Verdict.PROVED)] or [
        (f.code, f.verdict) for f in findings
    ] == [("RC203", Verdict.PROVED)]
    assert found(analysed(tmp_path, text.replace("2.6", "2.5"), vectors)) == []


# --- without vectors ----------------------------------------------------------------------


@pytest.mark.parametrize("text", [SAME_PRIORITY, BOTH], ids=["touching", "together"])
def test_without_a_lock_the_question_stays_open_and_is_asked_once(
    tmp_path: Path, text: str
) -> None:
    [finding] = found(analysed(tmp_path, text, None))
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.code in ("RC213", "RC214")
    assert "there is no `shop.lock` with the vectors of the examples" in finding.message
    assert finding.help == f"run `routec lock {tmp_path / 'shop.route'}`"


def test_without_a_lock_what_needs_no_vectors_is_decided(tmp_path: Path) -> None:
    text = TWO + (
        "route refunds priority 60 { when refund >= 0.8 to mini }\n"
        "route cancels priority 50 { when cancel >= 0.8 to opus }\n"
        "route late priority 40 { when refund >= 0.9 to opus }\n"
    )
    assert codes(analysed(tmp_path, text, None)) == [("RC202", Verdict.PROVED)]


def test_without_a_lock_a_mean_may_be_too_short(tmp_path: Path) -> None:
    [finding] = found(analysed(tmp_path, MEAN, None))
    assert (finding.code, finding.verdict) == ("RC214", Verdict.UNKNOWN)
    assert found(analysed(tmp_path, MEAN.replace("0.8", "0.7"), None)) == []


def test_a_lock_without_a_new_example_leaves_only_its_signal_open(tmp_path: Path) -> None:
    text = SAME_PRIORITY + MEAN
    vectors = {
        "refund": at_angle(0),
        "cancel": at_angle(60),
        "pay my bill": at_angle(0),
    }
    verdicts = {f.code: f for f in found(analysed(tmp_path, text, vectors))}
    assert verdicts["RC214"].verdict is Verdict.UNKNOWN
    assert "the lock file lacks 1 of the examples" in verdicts["RC214"].message


def test_a_damaged_lock_is_an_open_question_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop.lock").write_bytes(b"{")
    [finding] = found(analysed(tmp_path, BOTH, None))
    assert finding.verdict is Verdict.UNKNOWN
    assert "`shop.lock` cannot be used: the lock file is damaged: it is not JSON" in finding.message


# --- real vectors ---------------------------------------------------------------------------


def test_with_the_vectors_of_the_installed_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from routec.safety.models import find_minilm

    if find_minilm() is None:
        pytest.fail("the embedding model is not installed: run `routec models install minilm`")
    text = """
signal refund = similarity { examples: ["I want my money back"] }
signal again = similarity { examples: ["I want my money back!"] }
signal maths = similarity { examples: ["prove that there are infinitely many primes"] }
signal mixed = similarity { examples: ["I want my money back", "solve the integral"], reduce: mean }
route close priority 60 { when refund >= 0.9 and again >= 0.9 to opus }
route odd priority 50 { when refund >= 0.8 and maths >= 0.8 to opus with { max_tokens: 9 } }
route short priority 40 { when mixed >= 0.9 to opus with { max_tokens: 8 } }
"""
    file = tmp_path / "shop.route"
    file.write_text(HEAD + text)
    assert main(["lock", "--check", str(file)]) == 1
    assert main(["lock", str(file)]) == 0
    assert main(["lock", "--check", str(file)]) == 0
    first = (tmp_path / "shop.lock").read_bytes()
    lock = parse(first)
    assert isinstance(lock, Lock)
    assert (lock.dimension, len(lock.vectors)) == (384, 4)
    (tmp_path / "shop.lock").unlink()
    assert main(["lock", str(file)]) == 0
    assert (tmp_path / "shop.lock").read_bytes() == first
    capsys.readouterr()
    findings = found(analyse(check(file)))
    assert [(f.code, f.subjects[0], f.verdict) for f in findings] == [
        ("RC214", "odd", Verdict.PROVED),
        ("RC214", "mixed", Verdict.PROVED),
    ]
