"""The key that signs ServiceAccount tokens."""

import base64
import secrets


def new_elliptic_curve_key() -> str:
    """A fresh P-256 private key as PEM (RFC 5915; the public part is optional there), made without any dependency."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    scalar = (1 + secrets.randbelow(order - 1)).to_bytes(32, "big")
    version, curve = b"\x02\x01\x01", bytes.fromhex("a00a06082a8648ce3d030107")
    body = version + b"\x04\x20" + scalar + curve
    text = base64.encodebytes(b"\x30" + bytes([len(body)]) + body).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n"
