"""Personal data by construction: right in shape and checksum, belonging to nobody.

Cards carry the issuer prefixes of public test cards; IBANs vary the account part of the
examples in the IBAN registry; telephone numbers come from the ranges kept for fiction (NANP
555-01xx, Ofcom's and the Bundesnetzagentur's drama numbers, Arcep's 01 99 00); addresses from
RFC 2606 and RFC 5737. Social security numbers have the right shape only.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from random import Random

from routec.cli.demo.traffic.draw import between, chance, digits, letters, pick

_NAMES = ("anna", "ben", "chidi", "dana", "emil", "fatima", "goran", "hana", "ivo", "june")
_SURNAMES = ("miller", "okafor", "rossi", "sato", "novak", "garcia", "berg", "dubois")
_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com")
_AREAS = ("212", "303", "415", "512", "617", "702", "808", "913")
_CARDS = (
    "4242424242424242",
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
)
_CARD_PREFIXES = ("42424242", "41111111", "55555555")
_FIXED_IBANS = ("FR1420041010050500013M02606", "ES9121000418450200051332", "BE68539007547034")


def luhn_digit(body: str) -> str:
    """The check digit that makes ``body + digit`` pass Luhn's test (ISO/IEC 7812-1)."""
    total = 0
    for place, char in enumerate(reversed(body)):
        value = int(char) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def iban_with_check(country: str, account: str) -> str:
    """The IBAN of a country code and an account part (ISO 13616, ISO 7064 mod 97-10)."""
    digits_of = "".join(str(int(char, 36)) for char in account + country + "00")
    return f"{country}{98 - int(digits_of) % 97:02d}{account}"


def credit_card(rng: Random) -> str:
    """A card number of 15 or 16 digits, plain, in groups or with dashes."""
    if chance(rng, 0.4):
        number = pick(rng, _CARDS)
    else:
        body = pick(rng, _CARD_PREFIXES) + digits(rng, 7)
        number = body + luhn_digit(body)
    if len(number) != 16:
        return number
    return _grouped(number, pick(rng, ("", " ", "-")))


def iban(rng: Random) -> str:
    """An IBAN, plain or in groups of four."""
    choice = between(rng, 0, 3)
    if choice == 0:
        number = iban_with_check("DE", "37040044" + digits(rng, 10))
    elif choice == 1:
        number = iban_with_check("GB", "WEST123456" + digits(rng, 8))
    elif choice == 2:
        number = iban_with_check("AT", "19043" + digits(rng, 11))
    else:
        number = pick(rng, _FIXED_IBANS)
    return _grouped(number, pick(rng, ("", " ")))


def phone(rng: Random) -> str:
    """An international telephone number that is never assigned."""
    choice = between(rng, 0, 3)
    if choice == 0:
        return f"+1 {pick(rng, _AREAS)} 555 01{digits(rng, 2)}"
    if choice == 1:
        return f"+44 20 7946 0{digits(rng, 3)}"
    if choice == 2:
        return f"+49 30 23125 {digits(rng, 3)}"
    return f"+33 1 99 00 {digits(rng, 2)} {digits(rng, 2)}"


def email(rng: Random) -> str:
    """An address in a domain kept for examples."""
    return f"{pick(rng, _NAMES)}.{pick(rng, _SURNAMES)}{between(rng, 1, 99)}@{pick(rng, _HOSTS)}"


def ssn(rng: Random) -> str:
    """A number in the shape of a US social security number, of an area never assigned by state."""
    return f"{between(rng, 800, 899)}-{between(rng, 1, 99):02d}-{between(rng, 1, 9999):04d}"


def ip(rng: Random) -> str:
    """An IPv4 address of the documentation networks, or an IPv6 one."""
    if chance(rng, 0.2):
        return f"2001:db8::{between(rng, 1, 0xFFFF):x}:{between(rng, 1, 0xFFFF):x}"
    return f"{pick(rng, ('192.0.2', '198.51.100', '203.0.113'))}.{between(rng, 1, 254)}"


def api_key(rng: Random) -> str:
    """A string in the shape of a provider's secret key, drawn at random."""
    word = string.ascii_letters + string.digits
    choice = between(rng, 0, 2)
    if choice == 0:
        return "sk-" + letters(rng, word, 48)
    if choice == 1:
        return "ghp_" + letters(rng, word, 36)
    return "AKIA" + letters(rng, string.ascii_uppercase + "234567", 16)


def ticket(rng: Random) -> str:
    """The six digits of a support ticket: not personal data, but what a regex looks for."""
    return digits(rng, 6)


MAKERS: Mapping[str, Callable[[Random], str]] = {
    "credit_card": credit_card,
    "iban": iban,
    "phone": phone,
    "email": email,
    "us_ssn": ssn,
    "ip_address": ip,
    "api_key": api_key,
    "ticket": ticket,
}


def _grouped(number: str, separator: str) -> str:
    return separator.join(number[i : i + 4] for i in range(0, len(number), 4))
