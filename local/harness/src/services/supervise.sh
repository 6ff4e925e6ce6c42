# Runs COMMAND and stops it when the pipe on standard input closes, so that it never outlives the process which holds
# the other end, SIGKILL included.
#
#   sh -c THIS supervise LOG GRACE_TENTHS SCRATCH COMMAND [ARG...]
#
# Prints the pid of COMMAND, whose own output goes to LOG. Each line on standard input is the name of a signal to send,
# and is answered by a line when it is sent.
# When the pipe closes: SIGTERM, SIGKILL after GRACE_TENTHS tenths of a second, and SCRATCH (unless empty) is removed.
log=$1 grace=$2 scratch=$3
shift 3
exec 3<&0 </dev/null
"$@" >>"$log" 2>&1 3<&- &
child=$!
echo "$child"
exec 4>&1 >/dev/null 2>&1
(
    # An answer that nobody reads any more must not end the watch.
    trap '' PIPE
    while read -r signal <&3; do
        kill -s "$signal" "$child"
        echo sent >&4
    done
    # From here on the shell below, which sees the child end, must not cut the cleaning short.
    trap '' TERM
    kill -s TERM "$child"
    kill -s CONT "$child"
    waited=0
    while kill -s 0 "$child"; do
        if [ "$waited" -ge "$grace" ]; then kill -s KILL "$child"; fi
        waited=$((waited + 1))
        sleep 0.1
    done
    if [ -n "$scratch" ]; then rm -rf -- "$scratch"; fi
) &
watcher=$!
wait "$child"
code=$?
kill -s TERM "$watcher"
wait "$watcher"
exit "$code"
