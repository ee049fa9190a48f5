#!/bin/sh
# Replaces the containers of a service of the compose stack one by one, without a failed request:
#     deploy/replace-replicas.sh polls
# A new container starts with the current image and settings. When it is healthy, an old one stops. docs/upgrading.md has
# the order of a whole upgrade.
set -eu

# Until the proxy has asked Docker's DNS and the new container: both are repeated about every second.
NOTICED_AFTER_S=5

case ${1:-} in
polls | token-authority) service=$1 ;;
*)
    echo "usage: $0 polls|token-authority" >&2
    exit 2
    ;;
esac

old=$(docker compose ps --quiet "$service")
if [ -z "$old" ]; then
    echo "No container of $service runs; start the stack: docker compose up --wait" >&2
    exit 1
fi
one_more=$(($(echo "$old" | wc -l) + 1))
for container in $old; do
    docker compose up --detach --wait --no-deps --no-recreate --scale "$service=$one_more" "$service"
    sleep "$NOTICED_AFTER_S"
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
    echo "Replaced $container of $service"
done
