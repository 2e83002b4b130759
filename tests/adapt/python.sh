#!/bin/sh
# Stands in for Python: has every package unless FAKE says `lacking`, and ends as $FAKE_DIR/result.json says.
if [ "$1" = -c ]; then
    [ "$FAKE" != lacking ] && exit 0
    echo "ModuleNotFoundError: No module named 'torch'" >&2
    exit 1
fi
printf '%s\n' "$@" >"$FAKE_DIR/arguments"
echo "step 50" >&2
echo "not the result"
[ "$FAKE" = failing ] && exit 3
cat "$FAKE_DIR/result.json"
