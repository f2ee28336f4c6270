#!/bin/sh
# Install the torch set in /opt/venv: install-torch.sh cuda|cpu. Everything by hash. PyTorch's CPU wheels come from its own index;
# where no lock of them is at hand, one is made on the spot: the CUDA lock's versions, the hashes that index publishes.
set -eu
locks=$(dirname "$0") lock=$(dirname "$0")/requirements-torch-$1.lock backend=
case $1 in
  cuda) ;;
  cpu)
    backend="--torch-backend cpu"
    # shellcheck disable=SC2086
    [ -f "$lock" ] || sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' "$locks/requirements-torch-cuda.lock" | grep -vE '^(nvidia|cuda)-' |
      "$UV" pip compile --quiet --generate-hashes --no-deps --no-cache --python /opt/venv/bin/python $backend -o "$lock" - >/dev/null ;;
  *) echo "TORCH=$1: the torch builds are cuda and cpu" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086
"$UV" pip install --quiet --python /opt/venv/bin/python --no-cache --no-deps $backend --compile-bytecode --only-binary :all: --require-hashes -r "$lock"
