#!/bin/sh
# All that is wanted of a machine with a CUDA card, tests first: sh benchmarks/gpu.sh [FOLDER]
# Time to quality wants Fashion-MNIST: GANZOO_DATA names a folder with its files. DEVICE=cpu QUICK=1 tries the script.
# Results, log and weights go to FOLDER ($OUT, or benchmarks/results).
cd "$(dirname "$0")/.." || exit 1
out=${1:-${OUT:-benchmarks/results}}
device=${DEVICE:-cuda}
mkdir -p "$out"
# From the tree, without an install: the version is asked of the package's metadata.
metadata=$(mktemp -d)
mkdir "$metadata/ganzoo_torch-0.dist-info"
printf 'Metadata-Version: 2.1\nName: ganzoo-torch\nVersion: 0\n' > "$metadata/ganzoo_torch-0.dist-info/METADATA"
export PYTHONPATH="$PWD/src:$metadata:$PYTHONPATH" PYTHONUNBUFFERED=1 GANZOO_TEST_DEVICE="$device"
chosen=${QUICK:+loss or augmentation or global}
python3 -c 'import xdist' 2>/dev/null && workers="-n 8"  # one card for all of them
timeout 130 python3 -m pytest $workers --durations=10 -p no:cacheprovider -k "$chosen" tests/test_cuda.py 2>&1 | tee "$out/tests.log" | tail -n 60
timeout 350 python3 benchmarks/gpu.py --device "$device" ${QUICK:+--quick} --output "$out" 2>&1 | tee "$out/gpu.log"
