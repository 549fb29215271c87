#!/bin/sh
# Prints .env.example with a fresh random value for every empty variable: sh deploy/env.sh > .env
set -eu
cd -- "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)"
umask 077
while IFS= read -r line; do
    case $line in
        *_KEY=) printf '%s%s\n' "$line" "$(head -c 32 /dev/urandom | base64)" ;;
        *_PASSWORD=) printf '%s%s\n' "$line" "$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" ;;
        *) printf '%s\n' "$line" ;;
    esac
done <.env.example
