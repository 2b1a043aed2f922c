# SPDX-License-Identifier: Apache-2.0
"""What encapsulation and interception cost: octets by layer, and what fits the MTU."""
