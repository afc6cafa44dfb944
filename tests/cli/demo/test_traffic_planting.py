"""Planted data passes the checks that real data passes, and belongs to nobody."""

from __future__ import annotations

import ipaddress
import re
from random import Random

import phonenumbers
import pytest
from schwifty import IBAN

from routec.cli.demo.traffic.planting import MAKERS, iban_with_check, luhn_digit

SEEDS = range(300)


def made(kind: str) -> list[str]:
    return [MAKERS[kind](Random(seed)) for seed in SEEDS]


def passes_luhn(number: str) -> bool:
    doubled = [int(c) * (2 if i % 2 else 1) for i, c in enumerate(reversed(number))]
    return sum(v // 10 + v % 10 for v in doubled) % 10 == 0


def test_cards_pass_luhn() -> None:
    for card in made("credit_card"):
        number = re.sub(r"[ -]", "", card)
        assert len(number) in (15, 16)
        assert passes_luhn(number)


def test_luhn_digit_of_the_standard_example() -> None:
    assert luhn_digit("7992739871") == "3"


def test_ibans_are_valid() -> None:
    for iban in made("iban"):
        assert IBAN(iban.replace(" ", ""), allow_invalid=False).is_valid


def test_iban_check_digits_of_the_registry_example() -> None:
    assert iban_with_check("DE", "370400440532013000") == "DE89370400440532013000"


def test_phones_are_possible_numbers_of_fiction() -> None:
    fiction = re.compile(
        r"^\+(1 \d{3} 555 01\d\d|44 20 7946 0\d{3}|49 30 23125 \d{3}|33 1 99 00 .*)$"
    )
    for phone in made("phone"):
        assert fiction.match(phone)
        assert phonenumbers.is_possible_number(phonenumbers.parse(phone))


def test_addresses_are_for_documentation() -> None:
    for email in made("email"):
        assert re.fullmatch(r"[a-z.]+\d+@(mail\.)?example\.(com|org|net)", email)
    nets = [
        ipaddress.ip_network(n)
        for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    ]
    for ip in made("ip_address"):
        assert any(ipaddress.ip_address(ip) in net for net in nets)


def test_social_security_numbers_have_the_shape_of_valid_ones() -> None:
    for ssn in made("us_ssn"):
        area, group, serial = ssn.split("-")
        assert 800 <= int(area) < 900
        assert group != "00"
        assert serial != "0000"


def test_keys_have_a_known_shape() -> None:
    shape = re.compile(r"sk-[A-Za-z0-9]{48}|ghp_[A-Za-z0-9]{36}|AKIA[A-Z2-7]{16}")
    keys = made("api_key")
    assert all(shape.fullmatch(key) for key in keys)


@pytest.mark.parametrize("kind", MAKERS)
def test_makers_vary(kind: str) -> None:
    assert len(set(made(kind))) > 100
