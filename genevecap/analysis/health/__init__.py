# SPDX-License-Identifier: Apache-2.0
"""Whether an ambient mesh works, and how it is protected: findings A01 to A11 and H01 to H08.

Nothing is accused without evidence: a SYN without an answer only where the answer would have been
seen, a connection that was opened although another was there only where that one was open and all
sessions of its client are known.  `findings.ambient` and `findings.hbone` say what each means.
"""
