"""Phone numbers and e-mail addresses: normal form, mask. Knows no table."""

from __future__ import annotations

import phonenumbers

from coordination.ground.text import half_width


def normal_phone(typed: str, region: str = "CN") -> str | None:
    """E.164 of a valid mobile number, or None. Full-width digits, blanks and dashes are accepted."""
    try:
        number = phonenumbers.parse(half_width(typed), region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if phonenumbers.number_type(number) not in (
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    ):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_landline(typed: str, region: str = "CN") -> str | None:
    """E.164 of a valid landline with its area code, or None."""
    try:
        number = phonenumbers.parse(half_width(typed), region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.FIXED_LINE:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mask_phone(e164: str) -> str:
    """138****0001 for mainland mobiles, 010****5678 for landlines there; country code, stars and the last
    four for others."""
    if e164.startswith("+86") and len(e164) == 14:
        return f"{e164[3:6]}****{e164[-4:]}"
    if e164.startswith("+86"):
        return f"0{e164[3:5]}****{e164[-4:]}"
    return f"{e164[:3]}****{e164[-4:]}"


def mask_email(address: str) -> str:
    """l***@school.example."""
    local, _, domain = address.partition("@")
    return f"{local[:1]}***@{domain}"
