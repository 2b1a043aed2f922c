# SPDX-License-Identifier: Apache-2.0
"""From linked legs to sessions: which way each client connection took, and how it ended."""
