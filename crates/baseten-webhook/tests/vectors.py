"""Writes vectors.json: `python3 vectors.py > vectors.json`.

Signed by Python's hmac, in the way of Baseten's documentation. Any line can be signed again by hand:
python3 -c 'import hmac,sys; print(hmac.new(b"whsec_a", sys.stdin.buffer.read(), "sha256").hexdigest())'
printf %s '{}' | openssl dgst -sha256 -hmac whsec_a
"""

import base64
import hmac
import json

NEW, OLD, OTHER = "whsec_nEw0123456789abc", "whsec_oLd0123456789abc", "whsec_oTh0123456789abc"
BODY = (
    '{"request_id": "9876543210abcdef1234567890fedcba", "model_id": "my_model_id", '
    '"deployment_id": "my_deployment_id", "type": "async_request_completed", '
    '"time": "2024-04-30T01:01:08.883423Z", "data": {"my_model_output": "é\\u0000 \U0001f600"}, '
    '"errors": []}'
)


def digest(secret: str, body: str = BODY) -> str:
    return hmac.new(secret.encode(), body.encode(), "sha256").hexdigest()


def v1(secret: str, body: str = BODY) -> str:
    return "v1=" + digest(secret, body)


def base64_key() -> str:
    """What a library for Standard Webhooks would make of the secret."""
    key = base64.b64decode(NEW.removeprefix("whsec_"))
    return "v1=" + hmac.new(key, BODY.encode(), "sha256").hexdigest()


SPACED = json.dumps(json.loads(BODY), separators=(",", ":"))
ROWS = [
    # why, secrets, header, body, expected
    ("one secret, one signature", [NEW], v1(NEW), BODY, "ok"),
    ("RFC 4231, case 2", ["Jefe"], v1("Jefe", "what do ya want for nothing?"),
     "what do ya want for nothing?", "ok"),
    ("an empty body", [NEW], v1(NEW, ""), "", "ok"),
    ("bytes that are not JSON, with every line end", [NEW], v1(NEW, "\r\n\n\r\t "), "\r\n\n\r\t ", "ok"),
    ("a secret longer than a block of SHA-256", ["whsec_" + "k" * 100], v1("whsec_" + "k" * 100), BODY, "ok"),
    ("rotation: both sign, the receiver has the new one", [NEW], f"{v1(NEW)},{v1(OLD)}", BODY, "ok"),
    ("rotation: both sign, the receiver has the old one", [OLD], f"{v1(NEW)},{v1(OLD)}", BODY, "ok"),
    ("rotation: the old one signs, the receiver has both", [NEW, OLD], v1(OLD), BODY, "ok"),
    ("rotation: both sign, the receiver has both", [OLD, NEW], f"{v1(NEW)},{v1(OLD)}", BODY, "ok"),
    ("a right signature behind a wrong one", [NEW], f"{v1(OTHER)},{v1(NEW)}", BODY, "ok"),
    ("another version before it", [NEW], f"v2=AB/+=,{v1(NEW)}", BODY, "ok"),
    ("another version behind it", [NEW], f"{v1(NEW)},v10=", BODY, "ok"),
    ("spaces around the comma", [NEW], f" {v1(OTHER)} ,\t{v1(NEW)} ", BODY, "ok"),
    ("an empty entry, as HTTP lists may have", [NEW], f",{v1(NEW)},", BODY, "ok"),
    ("a wrong secret", [OTHER], v1(NEW), BODY, "WrongSignature"),
    ("two wrong secrets, two signatures", [OTHER, OTHER], f"{v1(NEW)},{v1(OLD)}", BODY, "WrongSignature"),
    ("the secret without its prefix", [NEW.removeprefix("whsec_")], v1(NEW), BODY, "WrongSignature"),
    ("a key decoded as base64", [NEW], base64_key(), BODY, "WrongSignature"),
    ("another output", [NEW], v1(NEW), BODY.replace("my_model_output", "my_model_0utput"), "WrongSignature"),
    ("the same JSON without its spaces", [NEW], v1(NEW), SPACED, "WrongSignature"),
    ("a line end added", [NEW], v1(NEW), BODY + "\n", "WrongSignature"),
    ("cut by one byte", [NEW], v1(NEW), BODY[:-1], "WrongSignature"),
    ("no body", [NEW], v1(NEW), "", "WrongSignature"),
    ("one digit changed", [NEW], v1(NEW)[:-1] + ("0" if v1(NEW)[-1] != "0" else "1"), BODY, "WrongSignature"),
    ("right, but of an unknown version", [NEW], v1(NEW).replace("v1", "v2"), BODY, "NoKnownVersion"),
    ("version in upper case", [NEW], v1(NEW).replace("v1", "V1"), BODY, "NoKnownVersion"),
    ("another product's header", [NEW], "sha256=" + digest(NEW), BODY, "NoKnownVersion"),
    ("upper-case hex", [NEW], "v1=" + digest(NEW).upper(), BODY, "MalformedSignature: a lower-case hex digit at"),
    ("no prefix", [NEW], digest(NEW), BODY, "MalformedSignature: entry 1 has no version"),
    ("no prefix on the second", [NEW], f"{v1(NEW)},{digest(OLD)}", BODY, "MalformedSignature: entry 2 has no version"),
    ("an empty version", [NEW], "=" + digest(NEW), BODY, "MalformedSignature: entry 1 has a version that"),
    ("a space in the version", [NEW], "v1 =" + digest(NEW), BODY, "MalformedSignature: entry 1 has a version that"),
    ("a digit short", [NEW], v1(NEW)[:-1], BODY, "MalformedSignature: has 63 digits"),
    ("a digit too many", [NEW], v1(NEW) + "0", BODY, "MalformedSignature: has 65 digits"),
    ("no digits", [NEW], "v1=", BODY, "MalformedSignature: has 0 digits"),
    ("no hex", [NEW], "v1=" + "g" * 64, BODY, "MalformedSignature: a lower-case hex digit at 0"),
    ("in quotes", [NEW], f'"{v1(NEW)}"', BODY, "MalformedSignature: entry 1 has a version that"),
    ("a semicolon for the comma", [NEW], f"{v1(NEW)};{v1(OLD)}", BODY, "MalformedSignature: has 132 digits"),
    ("no header", [NEW], None, BODY, "NoSignature"),
    ("an empty header", [NEW], "", BODY, "NoSignature"),
    ("a header of spaces and commas", [NEW], " , ,", BODY, "NoSignature"),
]
KEYS = ("why", "secrets", "header", "body", "expect")
rows = [json.dumps(dict(zip(KEYS, row)), ensure_ascii=False) for row in ROWS]
print("[\n" + ",\n".join(rows) + "\n]")
