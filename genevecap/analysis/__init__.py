# SPDX-License-Identifier: Apache-2.0
"""From columns to answers: counters, selectors, findings, and which redirect mode is at work."""
