# SPDX-License-Identifier: Apache-2.0
"""From stored octets to frames: files, clocks and interfaces, no protocol.

`reader.Capture` opens one input and yields batches of frames; what stands below it tells
compression (`source`), file format (`pcap`, `pcapng`) and records (`records`) apart.
"""
