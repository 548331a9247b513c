#!/usr/bin/env bash
# What a user of a wheel does in an empty folder: configs, fit, report, reproduce, sweep, a notebook. It is done as the
# machine is, with Clang alone, without a compiler, with a home that cannot be written to, and on one core; and the
# tutorial is executed. Each step prints its time, its last line, and, indented, all that it says on standard error.
#   tests/packaging/from_wheel.sh BIN [plain clang none home core tutorial]
# BIN is the folder with python and svl of an environment that has the wheel; notebooks need nbclient and ipykernel too.
set -euo pipefail
bin=$(cd "$1" && pwd)
tutorial=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../../docs/tutorial.ipynb
shift
scenarios=("$@")
[ $# -gt 0 ] || scenarios=(plain clang none home core tutorial)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH CXX "${!WANDB_@}" "${!XDG_@}" TORCHINDUCTOR_CACHE_DIR
export JUPYTER_RUNTIME_DIR="$folder/jupyter" IPYTHONDIR="$folder/ipython" # Jupyter's own matter, without a home
small=(--replicas.seeds 2 --trainer.max_steps 60 --trainer.log_every_n_steps 20 --trainer.enable_progress_bar false)

cat > "$folder/notebook.py" <<'PYTHON'
import importlib.util, sys

cells = [
    "import svl\nrun = svl.fit('quickstart', replicas={'seeds': 2}, trainer={'max_steps': 20})",
    "run",
    "print('a network of', sum(p.numel() for p in run.network(run.arms[0], seed=0).parameters()), 'parameters')",
]
if not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))):
    if len(sys.argv) == 1:
        exec("\n".join(cells))
    sys.exit(print("(without Jupyter: nbclient or ipykernel is not installed)"))
import nbformat
from nbclient import NotebookClient

made = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
notebook = nbformat.read(sys.argv[1], as_version=4) if len(sys.argv) > 1 else made
NotebookClient(notebook, timeout=1200).execute()
outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
assert any("<svg" in output.get("data", {}).get("text/html", "") for output in outputs), "a run shows no figure"
print(f"{len(notebook.cells)} cells, {len(outputs)} outputs")
PYTHON

# step NAME COMMAND ...: run it as the scenario's user, and show what it prints.
step() {
  local name=$1 began=$SECONDS
  shift
  "${user[@]}" "$@" > out 2> err || { cat out err >&2 && echo "from_wheel: $scenario: $name failed: $*" >&2 && exit 1; }
  printf '%-8s %-9s %3d s  %s\n' "$scenario" "$name" $((SECONDS - began)) "$(tail -n 1 out | cut -c1-120)"
  sed 's/^/                          /' err
}

# route RUN EXPECTED: the route by which a fit was computed.
route() {
  "$bin/python" -c 'import json, sys; s = json.load(open(sys.argv[1] + "/summary.json"))["routes"]["steps"]; print(f"{sys.argv[3]:8} route            {s}"); sys.exit(s != sys.argv[2])' "$1" "$2" "$scenario"
}

everything() {
  step import "$bin/python" -c 'import importlib.util, svl; assert "site-packages" in svl.__file__ and not importlib.util.find_spec("callbacks"); print("svl", svl.__version__)'
  step configs "$bin/svl" configs list
  step copy "$bin/svl" configs copy quickstart mine.yaml
  step fit "$bin/svl" fit --config mine.yaml "${small[@]}" --model.compile always
  run=$(tail -n 1 out)
  route "$run" "$expected"
  step report "$bin/svl" report "$run" --output report.html
  step reproduce "$bin/svl" reproduce liu2026/fig02a --scale smoke
  step sweep "$bin/svl" sweep run sweeps/width --dry-run
  "$bin/svl" configs show sweeps/width | sed "s/replicas.seeds: .*/replicas.seeds: {value: 1}\n  trainer.max_steps: {value: 20}/" > small.yaml
  step sweep "$bin/svl" sweep run small.yaml --count 1
  step notebook "$bin/python" "$folder/notebook.py"
}

for scenario in "${scenarios[@]}"; do
  here="$folder/$scenario"
  mkdir -p "$here/home" "$here/tmp" "$here/path" "$here/work" && cd "$here/work"
  user=(env "HOME=$here/home" "TMPDIR=$here/tmp")
  expected="C++ loop"
  printf '\n'
  case $scenario in
    plain) ;;
    clang)
      if ! command -v clang++ > /dev/null; then echo "clang    left out: clang++ is not installed" && continue; fi
      ln -s "$(command -v clang++)" "$(command -v clang)" "$(command -v ld)" "$here/path/"
      user+=("PATH=$here/path")
      ;;
    none) user+=("PATH=$here/path") expected="step by step" ;;
    home) user+=("HOME=/proc") ;;
    core)
      if ! command -v taskset > /dev/null; then echo "core     left out: there is no taskset" && continue; fi
      user+=(taskset -c 0)
      ;;
    tutorial) step tutorial "$bin/python" "$folder/notebook.py" "$tutorial" && continue ;;
    *) echo "from_wheel: no scenario $scenario" >&2 && exit 2 ;;
  esac
  everything
done
printf '\nall is well\n'
