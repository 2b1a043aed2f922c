# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one run, and SPIFFE certificates signed by it.

As Istio issues them: P-256 keys, no subject, one URI subject alternative name
`spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` (SPIFFE X.509-SVID, section 2), for clients and
servers.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(hours=24)
"""Istio's default for workload certificates."""

_BACKDATED = dt.timedelta(minutes=2)
_ORGANISATION = "cluster.local"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one identity's PEM files are, as the `tls` object of a configuration names them."""

    ca: Path
    cert: Path
    key: Path

    def as_json(self) -> dict[str, str]:
        """Return it as a configuration file holds it."""
        return {"ca": str(self.ca), "cert": str(self.cert), "key": str(self.key)}


class Authority:
    """A new root certificate in `folder`, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION)])
        builder = _dated(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.root = folder / "ca.pem"
        self.root.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, identity: str) -> Paths:
        """Write certificate and key of a SPIFFE ID; return where they are."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _dated(x509.Name([]), self._name, key.public_key())
        # RFC 5280, section 4.2.1.6: critical where the subject is empty.
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        builder = builder.add_extension(names, True)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), True)
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = identity.removeprefix("spiffe://").replace("/", "_")
        paths = Paths(self.root, self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        paths.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths.key.touch(mode=0o600)
        paths.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    """Return a certificate without extensions, valid from a moment ago."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
