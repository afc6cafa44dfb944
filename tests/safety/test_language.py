"""Which language a text is said to be in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.safety.language import LANGUAGES, MIN_CONFIDENCE, Languages


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("where is my order, and when will it arrive?", "en"),
        ("Ich möchte mein Geld zurück, bitte", "de"),
        ("Je voudrais annuler ma commande", "fr"),
        ("Quiero cancelar mi pedido de ayer", "es"),
        ("Здравствуйте, где мой заказ?", "ru"),
        ("我上周下的订单到现在还没有收到", "zh"),
        ("先週注文した商品がまだ届いていません", "ja"),
        ("주문한 상품이 아직 도착하지 않았습니다", "ko"),
        ("أود أن أسترد أموالي عن الطلب", "ar"),
        ("ผมต้องการขอคืนเงิน", "th"),
    ],
)
def test_a_sentence_is_identified(languages: Languages, text: str, code: str) -> None:
    ((answer, confidence),) = languages.identify([text])
    assert answer == code
    assert confidence > 0.5


@pytest.mark.parametrize("text", ["", " \n", "1234", "?!", "🙂🙂", "a", "x 1", "hi"])
def test_too_little_text_is_undetermined(languages: Languages, text: str) -> None:
    assert languages.identify([text]) == [("und", 0.0)]


@given(st.lists(st.text(), max_size=4))
def test_each_text_gets_a_listed_code_and_a_share(languages: Languages, texts: list[str]) -> None:
    answers = languages.identify(texts)
    assert len(answers) == len(texts)
    for code, confidence in answers:
        assert code in LANGUAGES
        assert confidence == 0.0 if code == "und" else MIN_CONFIDENCE <= confidence <= 1.0


def test_an_answer_does_not_depend_on_the_other_texts(languages: Languages) -> None:
    texts = ["Wo ist mein Paket?", "", "where is my order"]
    assert languages.identify(texts) == [languages.identify([text])[0] for text in texts]


def test_a_lone_surrogate_and_a_huge_text_are_answered(languages: Languages) -> None:
    texts = ["\ud800 where is my order please", "where is my order? " * 50_000]
    assert [code for code, _ in languages.identify(texts)] == ["en", "en"]


def test_the_list_is_what_the_model_can_answer(languages: Languages) -> None:
    languages.load()
    labels = {"ki" if label == "kik" else label for label in languages._identifier.labels}
    assert set(LANGUAGES) == labels | {"und"}
    assert list(LANGUAGES[1:]) == sorted(LANGUAGES[1:])
    assert len(set(LANGUAGES)) == len(LANGUAGES)


def test_the_list_is_plain_text_that_another_room_can_carry() -> None:
    # Nothing heavy is imported for it.
    import subprocess
    import sys

    code = (
        "import sys, routec.safety.language as l; assert len(l.LANGUAGES) == 141;"
        "assert not {'numpy', 'py3langid'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
