# SPDX-License-Identifier: Apache-2.0
"""Our reading of captures beside that of tshark."""
