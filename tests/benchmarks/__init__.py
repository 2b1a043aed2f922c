# SPDX-License-Identifier: Apache-2.0
"""How fast genevecap is, and how much memory it takes; `python -m tests.benchmarks` prints it."""
