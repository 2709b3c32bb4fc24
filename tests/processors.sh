#!/usr/bin/env bash
# The numerical tests as other processors would run them: no outcome may depend on the machine.
#
#     tests/processors.sh                 all settings, one after the other
#     tests/processors.sh oldest          one of them (or several)
#     tests/processors.sh list            their names
#
# PYTHON names the interpreter, PYTEST_TARGETS what is run (default: what computes). The last line of each
# run is printed again at the end. Older instruction sets than this machine's are imitated; newer ones
# cannot be.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
targets=${PYTEST_TARGETS:-"tests/test_estimators.py tests/_core tests/celltypes tests/connectome tests/decoding tests/dendrites tests/simulate tests/switching"}

# NumPy chooses among kernels by itself; this names all those that are not its baseline.
numpy_dispatched=$("$python" -c "
from numpy._core._multiarray_umath import __cpu_dispatch__ as built, __cpu_features__ as here
print(' '.join(name for name in built if here.get(name)))")

one_thread="OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"
two_threads="OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2"
declare -A settings=(
  [native]="$one_thread"
  # torch multiplies through MKL: both variables are needed to leave the instruction set of this machine
  [torch-default]="$one_thread ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE"
  [haswell]="$one_thread ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 OPENBLAS_CORETYPE=Haswell NUMBA_CPU_NAME=haswell"
  [oldest]="$one_thread ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem NUMBA_CPU_NAME=generic NPY_DISABLE_CPU_FEATURES='$numpy_dispatched'"
  [two-threads]="$two_threads"
  [oldest-two-threads]="$two_threads ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem NUMBA_CPU_NAME=generic NPY_DISABLE_CPU_FEATURES='$numpy_dispatched'"
)
order=(native torch-default haswell oldest two-threads oldest-two-threads)
[ "${1:-}" = list ] && { printf '%s\n' "${order[@]}"; exit 0; }

summary=() failed=0
[ $# -gt 0 ] || set -- "${order[@]}"
for name in "$@"; do
  [ -n "${settings[$name]:-}" ] || { echo "no setting $name; there are: ${order[*]}" >&2; exit 2; }
  printf '\n== %s: %s\n' "$name" "${settings[$name]}"
  log=$(mktemp)
  bash -c "export ${settings[$name]}; exec \"$python\" -m pytest -q $targets" | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
  summary+=("$name: $(tail -n 1 "$log")")
done
printf '\n== last lines\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
