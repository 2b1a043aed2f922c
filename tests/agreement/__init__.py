# SPDX-License-Identifier: Apache-2.0
"""The agreement test: `genevecap inspect --packets` against an independent dissector.

README.md in this folder says what is compared and how a difference is recorded.
"""
