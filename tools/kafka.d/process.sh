# shellcheck shell=bash
# The processes of the nodes: to start one, to know it, to end it.

# Whether the process of a node runs: its pid may long be somebody else's.
alive() {
    local pid=${1:-} node=$2 args=()
    [ -n "$pid" ] && { mapfile -d '' -t args <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
    [ "${#args[@]}" -gt 0 ] && [ "${args[-1]}" = "$DIR/$node/server.properties" ]
}

pid_of() { PID=; [ -e "$DIR/$1/pid" ] && read -r PID <"$DIR/$1/pid" && alive "$PID" "$1"; }

fact() { sed -n "s/^$1=//p" "$DIR/$MARK" | tail -1; }

java_flags() {
    FLAGS=(-XX:-UsePerfData -Xlog:disable -Djava.awt.headless=true)
    # What Kafka's own start script sets, or what starts sooner.
    case ${JIT:-quick} in
        full) FLAGS+=(-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20
            -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent) ;;
        *) FLAGS+=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1) ;;
    esac
}

launch() {
    local node=$1 log=$DIR/$1/log
    java_flags
    FLAGS+=("-Xmx$HEAP" -Dorg.slf4j.simpleLogger.showDateTime=true
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS"
        -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn)
    [ ! -e "$CACHE/broker-$JAVA_ID.jsa" ] || FLAGS+=("-XX:SharedArchiveFile=$CACHE/broker-$JAVA_ID.jsa")
    [ -z "${TRIAL:-}" ] || FLAGS+=("-XX:ArchiveClassesAtExit=$CACHE/broker.jsa")
    touch "$log"
    stat -c %s "$log" >"$DIR/$node/log.from"
    # A session of its own: a Ctrl-C in the terminal is for the test, the watchdog sees to the rest.
    setsid "$JAVA" "${FLAGS[@]}" -cp "$CACHE/lib/*" kafka.Kafka "$DIR/$node/server.properties" \
        </dev/null >>"$log" 2>&1 7>&- 9>&- &
    echo $! >"$DIR/$node/pid"
    disown
    # Until the new process has replaced the shell's copy, its command line is not yet its own.
    local try
    for try in {1..100}; do
        pid_of "$node" && return
        kill -0 $! 2>/dev/null || return 0
        nap 0.02
    done
}

# What a node has logged since it was last started.
log_since_start() { local from; read -r from <"$DIR/$1/log.from"; tail -c "+$((from + 1))" "$DIR/$1/log"; }

# Waits until a node takes requests: 0 when it does, 2 if a port was taken, 1 for all else.
ready() {
    local node=$1 port=$2 until=$((SECONDS + TIMEOUT))
    while :; do
        if grep -q 'Kafka Server started' <(log_since_start "$node"); then
            (exec 3<>"/dev/tcp/$HOST/$port") 2>/dev/null && return 0
        fi
        if ! pid_of "$node"; then
            ! grep -q 'Address already in use' <(log_since_start "$node") || return 2
            LAST_WORDS="node=\`$node\` ended while it started"
            return 1
        fi
        if [ "$SECONDS" -ge "$until" ]; then
            LAST_WORDS="node=\`$node\` does not answer after seconds=\`$TIMEOUT\`"
            return 1
        fi
        nap 0.05
    done
}

signal() { local node=$1 name=$2; pid_of "$node" && kill "-$name" "$PID" 2>/dev/null; }

# Waits until a node is gone, at most so many tenths of a second.
gone() {
    local node=$1 left=$2
    while pid_of "$node"; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        nap 0.1
    done
}

stop_node() {
    signal "$1" TERM && signal "$1" CONT || return 0
    gone "$1" $((TIMEOUT * 10)) || { signal "$1" KILL || true; gone "$1" 100; }
}

# Ends all nodes at once; the last of three has nobody to hand over to, so it is not waited for long.
end_nodes() {
    local node dir first=$1
    for dir in "$DIR"/[1-9]; do
        signal "${dir##*/}" "$first" && signal "${dir##*/}" CONT || true
    done
    for dir in "$DIR"/[1-9]; do
        node=${dir##*/}
        [ -d "$dir" ] || continue
        gone "$node" 20 || { signal "$node" KILL || true; gone "$node" 100 || say "node=\`$node\` does not end"; }
    done
}
