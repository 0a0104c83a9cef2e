#!/bin/sh
# Writes down which sections the environment allows, and becomes the proxy.
set -eu
: > /tmp/sections
for name in AUTH BUILD COMMIT CONFIGS CONTAINERS DISTRIBUTION EVENTS EXEC GRPC IMAGES INFO NETWORKS \
    NODES PING PLUGINS SECRETS SERVICES SESSION SWARM SYSTEM TASKS VERSION VOLUMES
do
    eval "allowed=\${$name:-0}"
    section=$(echo "$name" | tr 'A-Z' 'a-z' | sed 's/^ping$/_ping/')
    if [ "$allowed" = 1 ]; then echo "$section" >> /tmp/sections; fi
done
exec haproxy -db -f /etc/haproxy/haproxy.cfg
