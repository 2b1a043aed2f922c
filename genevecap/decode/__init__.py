# SPDX-License-Identifier: Apache-2.0
"""From frames to columns: bytes and RFCs, no files, no Istio.

Two decoders exist on purpose: a compiled kernel and a readable one (`protocols/`), held together
by tests.  `make_decoder` gives the compiled one where it was built, else the readable one.
"""

from __future__ import annotations

from typing import Protocol

from ..columns import DecodedBatch, FrameBatch
from ..kernels import load
from .settings import DecodeSettings

__all__ = ["DecodeSettings", "Decoder", "decoder_name", "make_decoder"]


class Decoder(Protocol):
    """What both decoders offer."""

    def decode(self, frames: FrameBatch, first: int, decoded: DecodedBatch) -> int:
        """Decode rows of `frames` from row `first` into `decoded`, from its row 0.

        Ends at the last frame, or earlier when a side table is nearly full.
        Returns the first row that was not decoded.
        """


def decoder_name() -> str:
    """Return `compiled` or `readable`: the decoder that `make_decoder` gives."""
    return "readable" if _kernel() is None else "compiled"


def make_decoder(settings: DecodeSettings | None = None) -> Decoder:
    """Return the compiled decoder where there is one, else (or if asked for) the readable one."""
    settings = settings or DecodeSettings()
    kernel = _kernel()
    if kernel is not None:
        decoder: Decoder = kernel(settings.udp_table(), settings.esp_icv_bytes)
        return decoder
    from .readable import ReadableDecoder

    return ReadableDecoder(settings.udp_table(), settings.esp_icv_bytes)


def _kernel() -> type | None:
    module = load("genevecap.decode._kernel_driver")
    return None if module is None else module.KernelDecoder
