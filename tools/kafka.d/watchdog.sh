# shellcheck shell=bash
# The process that ends a cluster whose parent is gone.

start_watchdog() {
    kill -0 "$1" 2>/dev/null || die "there is no process pid=\`$1\` to end with; start nothing for it"
    setsid "$BASH" "$SELF" watch "$1" --dir "$DIR" </dev/null >"$DIR/watchdog.log" 2>&1 7>&- 9>&- &
    echo $! >"$DIR/watchdog.pid"
}

end_watchdog() {
    local pid args=()
    [ -e "$DIR/watchdog.pid" ] && read -r pid <"$DIR/watchdog.pid" || return 0
    [ "$pid" != $$ ] && { mapfile -d '' -t args <"/proc/$pid/cmdline"; } 2>/dev/null || return 0
    [ "${#args[@]}" -gt 0 ] && [ "${args[-1]}" = "$DIR" ] && kill "$pid" 2>/dev/null || true
}

# When a process started: a pid that is used again is not the same process.
born() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    [ "${stat%% *}" != Z ] || return 1
    set -- $stat
    BORN=${20}
}

# Ends the cluster when the process that it was started for is gone, however that went.
watch() {
    local parent=$1 first
    trap '' HUP INT
    born "$parent" && first=$BORN || first=
    while [ -n "$first" ] && born "$parent" && [ "$BORN" = "$first" ]; do
        [ -d "$DIR" ] || return 0
        nap 0.3
    done
    # It may have been started by an `up` that was ended too, in the middle of starting nodes.
    end_nodes KILL
    nap 0.5
    end_nodes KILL
    rm -rf "$DIR"
}
