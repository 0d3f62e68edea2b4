#!/bin/sh
# An agent: by SSH on port 2222, for the controller's key alone, as this container's user.
set -eu

# SSH starts sessions with variables of its own. What the container is told, its builds are told too.
told=
for name in PATH LANG PUSHCART_ROLE DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH; do
  value=$(printenv "$name" || true)
  [ -z "$value" ] || told="$told $name=$value"
done
exec /usr/sbin/sshd -D -e -f /etc/pushcart/sshd_config -o "SetEnv=$told"
