# SPDX-License-Identifier: Apache-2.0
"""The shape of a protocol file, and the registry that it enters by existing.

A file in this folder holds, in this order: what the protocol is, its RFC and section, its header
diagram, offsets and masks by name, name tables, and a subclass of `Protocol` with `decode` for the
columns and `fields` for the field tree.  For this decoder nothing else has to be
edited to add one; CONTRIBUTING says what the compiled one needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ..layers import Layer
    from .fields import Header
    from .walk import Walk


class Protocol:
    """A layer that has a decoder."""

    layer: ClassVar[Layer]
    """Layer code under which the protocol is registered and listed."""
    HEADER_BYTES: ClassVar[int]
    """Octets that must fit for the layer to be listed; checked before `decode` is called."""
    SOURCE: ClassVar[str]
    """Where the header is specified; each field of the tree carries it, or a closer one."""
    TUNNEL: ClassVar[bool] = False
    """Whether it counts as a tunnel (`columns.MAX_TUNNELS`)."""

    def __init_subclass__(cls) -> None:
        other = PROTOCOLS.get(cls.layer)
        if other is not None:
            raise TypeError(f"{cls.__name__} and {other.__name__} both decode {cls.layer.name}")
        PROTOCOLS[cls.layer] = cls

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Decode the header at `offset`; its fixed part fits.

        Returns the code of the next layer and leaves its offset in `walk.next`, or returns 0:
        `walk.stop` says why, and is COMPLETE unless it was set.
        """
        raise NotImplementedError

    @staticmethod
    def partial(walk: Walk, offset: int) -> None:
        """Take what the columns want from a header whose fixed part does not fit."""

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:  # noqa: ARG004 - what subclasses take
        """Return whether the octets look like this protocol: asked for tentative ports.

        The fixed part fits.
        """
        return True

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header for the field tree, in wire order.

        The header may be cut anywhere: what does not fit ends the description from inside the
        calls of `header`, so that nothing has to be checked here.
        """
        raise NotImplementedError


PROTOCOLS: dict[int, type[Protocol]] = {}
"""Every protocol that has a decoder, by layer code."""
