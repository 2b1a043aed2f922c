# SPDX-License-Identifier: Apache-2.0
"""The Geneve option registry: what an option class, type and data mean.

RFC 8926 section 3.5, the header in front of every option:

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          Option Class         |      Type     |R|R|R| Length  |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                  Variable-Length Option Data                  |
```

An option *type* here is always the whole octet, its high bit (0x80, "critical") included: OVN's
0x80 and a type 0x00 of the same class are two options.  *Data* is what follows the four octets of
this header: 0 to 124 octets.

**Classes** are in `classes.tsv`, one row a range, covering all 65,536 values.  They come from the
IANA registry "Geneve Option Class" (Network Virtualization Overlay parameters, `nvo3`): a copy
updated on 2026-02-20 for the range rules and first rows, public copies of the registry in other
programs for the rest; each row names its source.

**Layouts** are in `vendors/`, one file a vendor, found by being there.  IANA does not register
types, so each layout names the specification or program that it was read from.

**To add a vendor**, copy the shortest file of `vendors/` and describe its options; add a row to
`docs/protocols/geneve-options.md` and an annotated vector to `tests/decode/options/`.  Tests hold
the three together.  To take a new copy of the IANA registry, edit `classes.tsv` and this date.

Nothing is read before the first question is asked, so that importing this package costs nothing.
"""

from __future__ import annotations

from .registry import class_name, decode_option, is_known, option_name
from .result import OptionField

__all__ = ["OptionField", "class_name", "decode_option", "is_known", "option_name"]
