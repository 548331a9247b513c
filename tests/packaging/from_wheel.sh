#!/usr/bin/env bash
# What a user of a wheel does, in an empty folder: fit, report, reproduce, sweep, configs, the Python API; then with one
# core, without a compiler, with Clang alone (where it is installed), and with a home that cannot be written to.
#   tests/packaging/from_wheel.sh BIN      BIN is the folder with python and svl of an environment that has the wheel
set -euo pipefail
bin=$(cd "$1" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset PYTHONPATH
export WANDB_MODE=disabled XDG_CACHE_HOME="$folder/cache"
small=(--replicas.seeds 2 --trainer.max_steps 60 --trainer.log_every_n_steps 20 --trainer.enable_progress_bar false)

say() { printf '\n== %s\n' "$*"; }
routes() { "$bin/python" -c 'import json, sys; s = json.load(open(sys.argv[1] + "/summary.json")); print(s["routes"], s.get("compiler", ""))' "$1"; }
fit() { run=$("$bin/svl" fit --config quickstart "${small[@]}" "$@" | tail -n 1) && echo "$run" && routes "$run"; }

say "svl is the wheel's"
"$bin/python" -c 'import svl; print(svl.__file__, svl.__version__); assert "site-packages" in svl.__file__'
! "$bin/python" -c 'import callbacks' 2>/dev/null || { echo "a top-level package callbacks was installed" >&2; exit 1; }

say configs
"$bin/svl" configs list > list.txt && head -n 3 list.txt
"$bin/svl" configs copy quickstart mine.yaml
"$bin/svl" configs copy slurm
"$bin/svl" fit --config mine.yaml "${small[@]}" --print_config > resolved.yaml

say fit
fit
say "the C++ loop, compiled here"
fit --model.compile always

say report
"$bin/svl" report "$run" --output report.html
test -s report.html

say reproduce
"$bin/svl" reproduce --list > list.txt && head -n 3 list.txt
"$bin/svl" reproduce liu2026/fig02a --scale smoke 2>&1 | tail -n 2

say sweep
"$bin/svl" sweep run sweeps/width --dry-run
"$bin/svl" configs show sweeps/width | sed "s/replicas.seeds: .*/replicas.seeds: {value: 1}\n  trainer.max_steps: {value: 20}/" > small.yaml
"$bin/svl" sweep run small.yaml --count 1

say theory
"$bin/svl" theory > list.txt && head -n 1 list.txt

say "Python"
"$bin/python" - <<'PYTHON'
import svl

run = svl.fit("quickstart", replicas={"seeds": 2}, trainer={"max_steps": 20})
print(run.path, run.network(run.arms[0], seed=0).layers[0].weight.shape, len(run.history))
PYTHON

if command -v taskset > /dev/null; then
  say "one core"
  run=$(taskset -c 0 "$bin/svl" fit --config quickstart "${small[@]}" --model.compile always | tail -n 1)
  routes "$run"
fi

say "no compiler"
mkdir empty
run=$(PATH="$folder/empty" XDG_CACHE_HOME="$folder/none" "$bin/svl" fit --config quickstart "${small[@]}" --model.compile always 2>warnings | tail -n 1)
cat warnings
routes "$run"

if command -v clang++ > /dev/null; then
  say "Clang alone"
  mkdir clang
  ln -s "$(command -v clang++)" "$(command -v clang)" "$(command -v ld)" clang/
  run=$(PATH="$folder/clang:/bin" CXX=clang++ XDG_CACHE_HOME="$folder/clang-cache" "$bin/svl" fit --config quickstart "${small[@]}" --model.compile always 2>warnings | tail -n 1)
  cat warnings
  routes "$run"
fi

say "a home that cannot be written to"
run=$(env -u XDG_CACHE_HOME HOME=/proc "$bin/svl" fit --config quickstart "${small[@]}" --model.compile always 2>warnings | tail -n 1)
cat warnings
routes "$run"
say "all is well"
