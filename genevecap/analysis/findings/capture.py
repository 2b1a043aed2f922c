# SPDX-License-Identifier: Apache-2.0
"""Capture quality."""

from __future__ import annotations

from . import COUNTED, Rule


class TimeOutOfRange(Rule):
    """A record that claims a time, but one that no report can show."""

    code = "C01"
    severity = "warning"
    message = "packets whose time does not fit 64-bit nanoseconds"
    explanation = (
        "Their time is unknown here; it would be before 1677 or after 2262. "
        "Simple packet blocks, which have no time at all, are not counted."
    )
    remedy = "Check the time stamp resolution that the file's interface blocks claim."
    source = "draft-ietf-opsawg-pcapng section 4.2"
    display_filter = "frame.time_epoch > 9223372036"


class Dropped(Rule):
    """The capture itself has lost packets."""

    code = "C02"
    severity = "warning"
    message = "packets dropped while capturing"
    explanation = (
        "What is missing here may have arrived where it should: loss and times that are "
        "measured around the gap are not those of the network. The number is of lost packets, "
        "as the file says it."
    )
    remedy = "Capture with a filter, a shorter snap length or a larger buffer (`-B`)."
    source = "draft-ietf-opsawg-pcapng section 4.6 (isb_ifdrop, isb_osdrop)"
    display_filter = ""


class SnapLength(Rule):
    """Headers are cut by the snap length."""

    code = "C03"
    severity = "warning"
    message = "packets captured too short to decode"
    explanation = (
        "The snap length ends inside the headers, so that tunnels, flows and options of these "
        "packets are not counted. Tunnels need some 50 octets more for each level, options up "
        "to 260."
    )
    remedy = "Capture with a longer snap length (`-s 256`), or whole packets."
    source = "RFC 8926 section 3.4"
    display_filter = "_ws.short"


class OutOfOrder(Rule):
    """A packet is older than one before it at the same point."""

    code = "C04"
    severity = "info"
    message = "packets are not in the order of time"
    explanation = (
        "Network cards with several queues and merged files do that. Times and order are as "
        "the file has them; less than a second is disorder, more a step of the clock. "
        "Counted are packets older than one before them at their capture point; the filter "
        "compares each with the one before it in the file."
    )
    remedy = "None is needed: `flows` and `latency` sort for themselves; `reordercap` sorts a file."
    source = "draft-ietf-opsawg-pcapng section 4.3"
    display_filter = "frame.time_delta < 0 && frame.time_delta > -1"


class ClockStep(Rule):
    """The clock was set back."""

    code = "C05"
    severity = "warning"
    message = "the clock steps back by a second or more"
    explanation = (
        "Times before and after the step cannot be compared at this point. Either the clock "
        "was set while capturing, or captures were joined."
    )
    remedy = "Let NTP or PTP settle before capturing; split the file at the step."
    source = "draft-ietf-opsawg-pcapng section 4.3"
    display_filter = "frame.time_delta <= -1"


class OneSided(Rule):
    """Only one direction of the connections was captured."""

    code = "C06"
    severity = "warning"
    told_by = COUNTED
    message = "TCP seen in one direction only"
    explanation = (
        "Nine of ten connections have no packet of the other direction: the answers take "
        "another way, or a filter left them out. Round trips, loss and sessions cannot be "
        "told. Redirection to ztunnel, which gives the two directions different ends, is not "
        "counted."
    )
    remedy = "Capture where both directions pass, or on all interfaces."
    source = "RFC 9293 section 3.1"
    display_filter = "tcp"


class SuperPackets(Rule):
    """TCP segments were joined before they were captured."""

    code = "C07"
    severity = "info"
    message = "TCP packets larger than any frame"
    explanation = (
        "Kernel and network card join segments (GSO, GRO) or cut them after capture (TSO): "
        "one captured packet stands for several on the wire. Loopback devices really have "
        "such packets. Counts are of what was captured; `genevecap overhead` counts segments."
    )
    remedy = "None is needed."
    source = "Linux Documentation/networking/segmentation-offloads.rst"
    display_filter = "tcp && frame.len > 9234"


class PartialChecksum(Rule):
    """The network card was to complete the checksum."""

    code = "C08"
    severity = "info"
    told_by = COUNTED
    message = "TCP checksums left to the network card"
    explanation = (
        "The packet was captured before its checksum was computed, at the sender or on a "
        "virtual network where nobody computes it. It is no error. Counted are SYNs."
    )
    remedy = "None is needed."
    source = "Linux Documentation/networking/checksum-offloads.rst"
    display_filter = "tcp.flags.syn == 1 && tcp.flags.ack == 0"


class CutShort(Rule):
    """The file ends inside a packet."""

    code = "C09"
    severity = "warning"
    message = "the capture is cut short"
    explanation = (
        "The file ends inside a record, or the compressed data has no end. Everything before "
        "is reported."
    )
    remedy = "Let the capture end before it is copied, or capture with `-U`."
    source = "draft-ietf-opsawg-pcapng section 3.1"
    display_filter = ""


class Damaged(Rule):
    """The file cannot be read to its end."""

    code = "C10"
    severity = "error"
    message = "the capture is damaged"
    explanation = (
        "A record contradicts itself or a checksum of the compression is wrong. What follows "
        "could not be read; everything before is reported."
    )
    remedy = "Copy the file again (in binary mode), or capture again."
    source = "draft-ietf-opsawg-pcapng section 3.1"
    display_filter = ""
