# SPDX-License-Identifier: Apache-2.0
"""Layouts of Geneve options, one file a vendor, each with a tuple `LAYOUTS`."""
