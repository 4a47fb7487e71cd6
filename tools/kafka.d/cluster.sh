# shellcheck shell=bash
# The whole cluster: up, down and how it is.

format_nodes() {
    local node pair args=() id
    while :; do
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_')
        id=${id%==}
        [[ $id == -* ]] || break
    done
    echo "cluster_id=$id" >>"$DIR/$MARK"
    [ "${#FEATURES[@]}" = 0 ] || for pair in "${FEATURES[@]}"; do args+=(--feature "$pair"); done
    [ -z "$SECURITY" ] || for pair in $PASSWORDS; do
        args+=(--add-scram "SCRAM-SHA-256=[name=${pair%%:*},password=${pair#*:}]")
        args+=(--add-scram "SCRAM-SHA-512=[name=${pair%%:*},password=${pair#*:}]")
    done
    java_flags
    FLAGS+=(-Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)
    [ ! -e "$CACHE/broker-$JAVA_ID.jsa" ] || FLAGS+=("-XX:SharedArchiveFile=$CACHE/broker-$JAVA_ID.jsa")
    for ((node = 1; node <= NODES; node++)); do
        "$JAVA" "${FLAGS[@]}" -cp "$CACHE/lib/*" kafka.tools.StorageTool format \
            -t "$id" "${args[@]}" -c "$DIR/$node/server.properties" \
            </dev/null >"$DIR/$node/format.log" 2>&1 7>&- 9>&- &
        FORMATTING[node]=$!
        # Whoever ends the cluster now ends this.
        echo $! >"$DIR/$node/pid"
    done
    for ((node = 1; node <= NODES; node++)); do
        wait "${FORMATTING[node]}" || { cat "$DIR/$node/format.log" >&2; die "node=\`$node\` could not be formatted; see above"; }
    done
    FORMATTING=()
}

# One try: 0 when all nodes answer, 2 if a port was taken meanwhile.
try_up() {
    local node name got status=0
    rm -rf "$DIR"/[1-9]
    {
        printf '%s\n' "dir=$DIR" "version=$VERSION" "nodes=$NODES" "heap=$HEAP" "jit=$JIT" \
            "bootstrap=$(addresses PLAINTEXT)"
        [ -z "$SECURITY" ] || {
            for name in ssl sasl_plaintext sasl_ssl; do
                printf '%s\n' "$name=$(addresses "${name^^}")" "properties_$name=$DIR/$name.properties"
            done
            printf '%s\n' "ca=$DIR/tls/ca.pem" "other_ca=$DIR/tls/other-ca.pem" \
                "client_certificate=$DIR/tls/client.crt" "client_key=$DIR/tls/client.key" \
                mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512 user=alice password=alice-secret \
                other_user=bob other_password=bob-secret
        }
    } >"$DIR/$MARK"
    for ((node = 1; node <= NODES; node++)); do
        mkdir -p "$DIR/$node"
        properties "$node" >"$DIR/$node/server.properties"
        echo "port.$node=$(port PLAINTEXT "$node")" >>"$DIR/$MARK"
    done
    [ -z "$SECURITY" ] || client_properties
    format_nodes
    for ((node = 1; node <= NODES; node++)); do launch "$node"; done
    for ((node = 1; node <= NODES; node++)); do
        got=0
        ready "$node" "$(port PLAINTEXT "$node")" || got=$?
        [ "$got" = 0 ] || { [ "$status" = 1 ] || status=$got; break; }
    done
    return "$status"
}

# What is left of a start that came to nothing: no process, no data, but what the nodes said.
fail_up() {
    local dir
    for dir in "$DIR"/[1-9]; do
        [ -s "$dir/log" ] || continue
        say "the end of the log of node=\`${dir##*/}\`:"
        tail -n 25 "$dir/log" >&2
    done
    say "Kafka did not start: ${LAST_WORDS:-it was ended}"
    end_watchdog
    [ "${#FORMATTING[@]}" = 0 ] || kill -KILL "${FORMATTING[@]}" 2>/dev/null || true
    end_nodes KILL
    # What has only just been killed may still be writing.
    wait
    rm -rf "$DIR"
}

up() {
    local parent= attempt status=0
    NODES=1 PORT_BASE= SECURITY= HEAP= JIT=quick SET=() FEATURES=() FORMATTING=()
    while [ $# -gt 0 ]; do
        case $1 in
            --security) SECURITY=yes; shift; continue ;;
        esac
        [ $# -ge 2 ] || die "option=\`$1\` is unknown or wants a value; see tools/kafka help"
        case $1 in
            --nodes) NODES=$2 ;;
            --port-base) PORT_BASE=$2 ;;
            --with-parent) parent=$2 ;;
            --set) SET+=("$2") ;;
            --feature) FEATURES+=("$2") ;;
            --heap) HEAP=$2 ;;
            --jit) JIT=$2 ;;
            *) die "option=\`$1\` is unknown; see tools/kafka help" ;;
        esac
        shift 2
    done
    [ "$JIT" != full ] || HEAP=${HEAP:-1g}
    case $NODES in 1) HEAP=${HEAP:-512m} ;; 3) HEAP=${HEAP:-384m} ;; *) die "nodes=\`$NODES\`: there is 1 or 3" ;; esac
    [ -n "${TRIAL:-}" ] || fetch
    [[ $DIR != *,* ]] || die "dir=\`$DIR\`: Kafka reads a comma as the end of a directory's name"

    local node
    for node in 1 2 3; do ! pid_of "$node" || die "a cluster runs in dir=\`$DIR\`; end it: tools/kafka down --dir $DIR"; done
    [ ! -e "$DIR" ] || [ -e "$DIR/$MARK" ] || [ -z "$(ls -A "$DIR")" ] ||
        die "dir=\`$DIR\` holds something else; name a directory that is new or empty"
    end_watchdog
    rm -rf "$DIR"
    mkdir -p "$DIR"
    : >"$DIR/$MARK"
    trap 'fail_up' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    [ -z "$parent" ] || start_watchdog "$parent"
    [ -z "$SECURITY" ] || certificates

    local fixed=$PORT_BASE
    for attempt in 1 2 3 4 5; do
        [ -n "$fixed" ] || free_ports $((NODES * 5))
        status=0
        try_up || status=$?
        [ "$status" = 2 ] && [ -z "$fixed" ] || break
        end_nodes KILL
    done
    [ "$status" != 2 ] || die "a port from port-base=\`$PORT_BASE\` is in use; name another, or none"
    [ "$status" = 0 ] || exit 1
    trap - EXIT INT TERM HUP
    report || true
}

# What `up` has written down, and how the nodes are; fails if one is down.
report() {
    local dir node state all=0 stat
    cat "$DIR/$MARK"
    for dir in "$DIR"/[1-9]; do
        node=${dir##*/} state=down
        if pid_of "$node"; then
            state=running
            read -r stat <"/proc/$PID/stat" && [[ ${stat##*) } != T* ]] || state=paused
            printf '%s\n' "pid.$node=$PID" "rss_kb.$node=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$PID/status")"
        fi
        echo "state.$node=$state"
        [ "$state" = running ] || all=1
    done
    return "$all"
}

down() {
    [ -e "$DIR/$MARK" ] || { say "nothing runs in dir=\`$DIR\`"; return 0; }
    end_watchdog
    end_nodes TERM
    rm -rf "$DIR"
}

start_node() {
    local node=$1
    ! pid_of "$node" || die "node=\`$node\` runs, pid=\`$PID\`"
    VERSION=$(fact version) HEAP=$(fact heap) JIT=$(fact jit)
    fetch
    launch "$node"
    ready "$node" "$(fact "port.$node")" || {
        tail -n 25 "$DIR/$node/log" >&2
        signal "$node" KILL || true
        die "${LAST_WORDS:-a port of node=\`$node\` is in use}"
    }
    report || true
}
