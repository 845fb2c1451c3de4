#!/usr/bin/env bash
# Fuzzes one target for a time: fuzz_one.sh NAME SECONDS. Finds go to build/fuzz/finds, new inputs to build/fuzz/corpus;
# an input worth keeping is copied to fuzz/corpus/NAME by hand. Exit 1 when the target failed.
set -euo pipefail
name=$1 seconds=$2
grown=build/fuzz/corpus/$name
finds=build/fuzz/finds
dictionary=()
[[ -f fuzz/$name.dict ]] && dictionary=("-dict=fuzz/$name.dict")
mkdir -p "$grown" "$finds"
log=build/fuzz/$name.log
if "build/fuzz/${name}_fuzz" "${dictionary[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$finds/$name-" "$grown" "fuzz/corpus/$name" >"$log" 2>&1; then
    echo "fuzz $name: $(grep -o 'number_of_executed_units: .*' "$log"), no failure in $seconds s"
else
    tail -40 "$log"
    echo "fuzz $name: FAILED, input in $finds"
    exit 1
fi
