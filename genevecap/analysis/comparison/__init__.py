# SPDX-License-Identifier: Apache-2.0
"""One thing beside another: two formats, two runs."""
