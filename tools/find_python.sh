#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print the first Python on PATH that is new enough (3.11); $PYTHON, if set, is asked alone.
set -u
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        command -v "$candidate"
        exit 0
    fi
done
echo "genevecap needs Python 3.11 or later; found none as: ${PYTHON:-python3, python3.11 ... 3.14}" >&2
exit 1
