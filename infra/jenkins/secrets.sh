#!/bin/sh
# Makes the secrets that compose.yaml hands to its containers:  infra/jenkins/secrets.sh [FOLDER]
# What exists is kept, whatever it holds. What only you can know is made empty and named at the end.
set -eu

user=1000 # of every container; the files are for it alone
folder=${1:-$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/secrets}

me=$(id -u)
if [ "$me" != 0 ] && [ "$me" != "$user" ]; then
  echo "You are user $me; the containers run as user $user and read files of their own only. Run: sudo $0" >&2
  exit 2
fi
umask 077
mkdir -p "$folder"
cd "$folder"

own() {
  chmod 0600 "$@"
  [ "$me" != 0 ] || chown "$user:$user" "$@"
}

# Half a file of a run that was cut off never gets the name of a secret.
password() {
  if [ -s "$1" ]; then
    echo "kept    $1"
  else
    od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1.part"
    mv "$1.part" "$1"
    echo "made    $1"
  fi
  own "$1"
}

key_pair() {
  if [ -s "$1" ]; then
    echo "kept    $1"
  else
    rm -f "$1" "$1.pub" "$1.part" "$1.part.pub"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$1.part"
    mv "$1.part" "$1"
    rm "$1.part.pub"
    echo "made    $1"
  fi
  [ -s "$1.pub" ] || ssh-keygen -y -f "$1" >"$1.pub"
  own "$1" "$1.pub"
}

yours() {
  [ -e "$1" ] || : >"$1"
  own "$1"
  if [ -s "$1" ]; then echo "kept    $1"; else missing="$missing
  $1: $2"; fi
}

own .
chmod 0700 .
for name in jenkins-admin-password postgresql-password mlflow-session-key mlflow-admin-password mlflow-password; do
  password "$name"
done
# The controller's key to its agents, by which each agent is known, and to the repository and the hosts.
for name in agent-key host-key-linux host-key-training host-key-docker host-key-deploy \
  git-key deploy-key-staging deploy-key-production; do
  key_pair "$name"
done
missing=
yours git-known-hosts "the repository's host and its public key, as in ~/.ssh/known_hosts"
yours shop-database "password of the user that reads the shop's events"
yours container-registry "password of the user that pushes and pulls images"
yours signing-key "what 'bin/ci keys new --private FILE' wrote (docs/keys.md)"

echo "
Let the repository read git-key.pub; let the hosts take deploy-key-staging.pub and deploy-key-production.pub."
[ -z "$missing" ] || echo "Still empty in $folder; what needs them fails until you fill them in:$missing"
