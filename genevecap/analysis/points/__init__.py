# SPDX-License-Identifier: Apache-2.0
"""What each capture point is: its role, its node, its twins."""
