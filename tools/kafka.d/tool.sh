# shellcheck shell=bash
# Kafka's own tools.

# A tool's own words are on stdout; what it logs is of interest when something is wrong.
tool_java() {
    java_flags
    FLAGS+=(-Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)
    [ ! -e "$CACHE/tool-$JAVA_ID.jsa" ] || FLAGS+=("-XX:SharedArchiveFile=$CACHE/tool-$JAVA_ID.jsa")
    # Text goes in and out as it is, in whatever language the machine is set to.
    LC_ALL=C.UTF-8 "$JAVA" -Dfile.encoding=UTF-8 "${FLAGS[@]}" "$@"
}

# The main class of a tool, which has moved between versions.
class_of() {
    local path classes
    case $1 in
        *.*) CLASS=$1; return ;;
        kafka-topics) classes="org/apache/kafka/tools/TopicCommand" ;;
        kafka-configs) classes="org/apache/kafka/tools/ConfigCommand kafka/admin/ConfigCommand" ;;
        kafka-acls) classes="org/apache/kafka/tools/AclCommand kafka/admin/AclCommand" ;;
        kafka-console-producer) classes="org/apache/kafka/tools/ConsoleProducer kafka/tools/ConsoleProducer" ;;
        kafka-console-consumer) classes="org/apache/kafka/tools/consumer/ConsoleConsumer" ;;
        kafka-consumer-groups) classes="org/apache/kafka/tools/consumer/group/ConsumerGroupCommand" ;;
        kafka-groups) classes="org/apache/kafka/tools/GroupsCommand" ;;
        kafka-streams-groups) classes="org/apache/kafka/tools/streams/StreamsGroupCommand" ;;
        kafka-transactions) classes="org/apache/kafka/tools/TransactionsCommand" ;;
        kafka-get-offsets) classes="org/apache/kafka/tools/GetOffsetShell" ;;
        kafka-delete-records) classes="org/apache/kafka/tools/DeleteRecordsCommand" ;;
        kafka-features) classes="org/apache/kafka/tools/FeatureCommand" ;;
        kafka-leader-election) classes="org/apache/kafka/tools/LeaderElectionCommand" ;;
        kafka-reassign-partitions) classes="org/apache/kafka/tools/reassign/ReassignPartitionsCommand" ;;
        kafka-metadata-quorum) classes="org/apache/kafka/tools/MetadataQuorumCommand" ;;
        kafka-broker-api-versions) classes="org/apache/kafka/tools/BrokerApiVersionsCommand kafka/admin/BrokerApiVersionsCommand" ;;
        kafka-log-dirs) classes="org/apache/kafka/tools/LogDirsCommand" ;;
        kafka-dump-log) classes="org/apache/kafka/tools/DumpLogSegments kafka/tools/DumpLogSegments" ;;
        kafka-storage) classes="kafka/tools/StorageTool" ;;
        kafka-producer-perf-test) classes="org/apache/kafka/tools/ProducerPerformance" ;;
        kafka-consumer-perf-test) classes="org/apache/kafka/tools/ConsumerPerformance" ;;
        *) die "tool=\`$1\` is not known here; give its main class" ;;
    esac
    # A jar lists the names of its files as they are.
    for path in $classes; do
        if grep -qaF "$path.class" "$CACHE/lib/kafka_2.13-$VERSION.jar" "$CACHE/lib/kafka-tools-$VERSION.jar"; then
            CLASS=${path//\//.}
            return
        fi
    done
    die "Kafka $VERSION has no tool=\`$1\`"
}

tool() {
    local name=$1
    shift
    [ ! -e "$DIR/$MARK" ] || VERSION=$(fact version)
    fetch
    class_of "$name"
    case " $name $* " in
        *' --bootstrap-server'* | *' --bootstrap-controller'* | *' kafka-dump-log '* | *' kafka-storage '* | *'-perf-test '* | *' --producer-props '*) ;;
        *) [ -e "$DIR/$MARK" ] || die "nothing runs in dir=\`$DIR\`; start it, or name a cluster by --bootstrap-server"
            set -- --bootstrap-server "$(fact bootstrap)" "$@" ;;
    esac
    tool_java -cp "$CACHE/lib/*" "$CLASS" "$@"
}
