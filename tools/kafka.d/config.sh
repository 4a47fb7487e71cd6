# shellcheck shell=bash
# Ports, addresses and broker properties.

# Ports below those that the system hands out by itself, none of them in use.
free_ports() {
    local need=$1 line port base taken=" "
    while read -r _ line _; do
        [[ $line == *:* ]] && taken+="$((16#${line##*:})) "
    done < <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    while :; do
        base=$((15000 + RANDOM % 16000))
        for ((port = base; port < base + need; port++)); do
            [[ $taken == *" $port "* ]] && continue 2
        done
        PORT_BASE=$base
        return
    done
}

listeners() { if [ -n "$SECURITY" ]; then echo PLAINTEXT CONTROLLER SSL SASL_PLAINTEXT SASL_SSL; else echo PLAINTEXT CONTROLLER; fi; }

# The port of a node's listener; those of one kind are neighbours.
port() {
    local index=0 name
    for name in $(listeners); do
        [ "$name" = "$1" ] && break
        index=$((index + 1))
    done
    echo $((PORT_BASE + index * NODES + $2 - 1))
}

addresses() { local node list=; for ((node = 1; node <= NODES; node++)); do list+=,$HOST:$(port "$1" "$node"); done; echo "${list#,}"; }

properties() {
    local node=$1 name voters= listen= advertised= map= other replicas=$NODES insync=1
    [ "$NODES" = 1 ] || insync=2
    for ((other = 1; other <= NODES; other++)); do voters+=,$other@$HOST:$(port CONTROLLER "$other"); done
    for name in $(listeners); do
        listen+=,$name://$HOST:$(port "$name" "$node")
        [ "$name" = CONTROLLER ] && map+=,CONTROLLER:PLAINTEXT && continue
        advertised+=,$name://$HOST:$(port "$name" "$node")
        map+=,$name:$name
    done
    # Retention and time-outs are Kafka's own, so that tests meet what users have.
    cat <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=${voters#,}
listeners=${listen#,}
advertised.listeners=${advertised#,}
listener.security.protocol.map=${map#,}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$DIR/$node/data
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$insync
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$insync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$insync
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
    [ -z "$SECURITY" ] || security_properties
    [ "${#SET[@]}" = 0 ] || printf '%s\n' "${SET[@]}"
}
