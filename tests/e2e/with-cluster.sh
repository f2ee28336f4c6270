#!/bin/sh
# Run a command with the cluster up: with-cluster.sh COMMAND…. A cluster that was not up is started empty, and taken down and
# forgotten in the end, whatever happens.
set -eu
CLUSTER=${CLUSTER:-../shared/cluster/cluster}
[ -x "$CLUSTER" ] || { echo "no cluster at $CLUSTER: set CLUSTER to the command that starts one" >&2; exit 1; }
"$CLUSTER" build
eval "$("$CLUSTER" env)"
if ! kubectl get --raw /readyz >/dev/null 2>&1; then
  trap 'exit 143' INT TERM
  trap '"$CLUSTER" down --wipe' EXIT
  "$CLUSTER" down --wipe
fi
"$CLUSTER" up
TLBATCH_CLUSTER=$CLUSTER TLBATCH_REQUIRE=${TLBATCH_REQUIRE:+$TLBATCH_REQUIRE,}cluster "$@"
