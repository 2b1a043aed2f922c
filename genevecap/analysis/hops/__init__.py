# SPDX-License-Identifier: Apache-2.0
"""Hops: the same packet at several points, and the time between them."""
