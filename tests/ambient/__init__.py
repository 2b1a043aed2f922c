# SPDX-License-Identifier: Apache-2.0
"""Tests of what is known about Istio ambient."""
