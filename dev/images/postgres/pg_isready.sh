#!/bin/sh
# The part of pg_isready that probes need: -h host, -p port. 0: accepts connections, 1: starting or stopping, 2: no answer.
host=127.0.0.1
port=5432
while getopts h:p:t:qd:U: option; do
  case $option in
    h) host=$OPTARG ;;
    p) port=$OPTARG ;;
    *) ;;
  esac
done
# Startup message, protocol 3.0, user "probe". 'R' asks for a password; SQLSTATE 57P03 says "cannot connect now".
answer=$(printf '\000\000\000\024\000\003\000\000user\000probe\000\000' | nc -w 2 "$host" "$port" 2>/dev/null | head -c 200)
case $answer in
  *57P03*) echo "$host:$port - rejecting connections"; exit 1 ;;
  '') echo "$host:$port - no response"; exit 2 ;;
  *) echo "$host:$port - accepting connections" ;;
esac
