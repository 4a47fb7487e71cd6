# shellcheck shell=bash
# Kafka and its dependencies, fetched once and kept.

java_or_die() {
    JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java
    JAVA=$(command -v "$JAVA") || die "no java here; install Java 17, on Debian: apt-get install default-jre-headless"
    # Archived classes fit one build of the JVM.
    JAVA_ID=$(readlink -f "$JAVA"; stat -c '%s-%Y' "$(readlink -f "$JAVA")")
    JAVA_ID=$(cksum <<<"$JAVA_ID"); JAVA_ID=${JAVA_ID%% *}
}

java_17_or_die() {
    local major
    major=$("$JAVA" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
    [ "${major:-0}" -ge 17 ] || die "java=\`$JAVA\` is version ${major:-unknown}; Kafka needs 17 or newer"
}

cache_of() {
    local base=${SUIRO_KAFKA_CACHE:-}
    [ -n "$base" ] || base=${XDG_CACHE_HOME:-${HOME:-$ROOT/target}/.cache}/suiro/kafka
    CACHE=$base/$VERSION
}

jars() { (cd "$1" && stat -c '%s %n' -- *.jar | LC_ALL=C sort); }

complete() {
    [ -s "$CACHE/jars" ] && [ -d "$CACHE/lib" ] && cmp -s "$CACHE/jars" <(jars "$CACHE/lib" 2>&1)
}

# Fetches Kafka once, whoever asks first; the others wait for it.
fetch() {
    cache_of
    java_or_die
    complete && [ -e "$CACHE/tool-$JAVA_ID" ] && return
    mkdir -p "$(dirname "$CACHE")"
    exec 9>"$CACHE.lock"
    flock 9
    complete || fetch_jars
    [ -e "$CACHE/tool-$JAVA_ID" ] || archive_classes
    exec 9>&-
}

mvn_or_die() {
    command -v mvn >/dev/null || die "no mvn here to fetch Kafka with; install Maven, on Debian: apt-get install maven"
}

available() {
    cache_of
    java_or_die
    java_17_or_die
    complete || mvn_or_die
}

fetch_jars() {
    java_17_or_die
    mvn_or_die
    say "fetching Kafka $VERSION from Maven Central into $CACHE"
    local new=$CACHE.new
    rm -rf "$new" && mkdir -p "$new"
    # Kafka brings no binding for its logging, or one that wants a configuration; one binding is enough.
    cat >"$new/pom.xml" <<POM
<project><modelVersion>4.0.0</modelVersion>
<groupId>suiro</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version>
<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion></exclusions>
</dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version>
<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>
<exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion></exclusions>
</dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
    local goal=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies try
    for try in 1 2 3; do
        if mvn -q -B -f "$new/pom.xml" "$goal" -DincludeScope=runtime "-DoutputDirectory=$new/lib" >"$new/mvn.log" 2>&1 7>&- 9>&-; then
            break
        elif [ "$try" = 3 ]; then
            cat "$new/mvn.log" >&2
            rm -rf "$new"
            die "Maven could not fetch Kafka version=\`$VERSION\`; see above"
        fi
    done
    [ -s "$new/lib/kafka_2.13-$VERSION.jar" ] && [ -s "$new/lib/kafka-tools-$VERSION.jar" ] ||
        die "Maven fetched no Kafka version=\`$VERSION\`; name one exactly as Maven Central has it"
    jars "$new/lib" >"$new/jars"
    rm -rf "$CACHE" && mv "$new" "$CACHE"
}

# Keeps the classes that a broker and a tool load in an archive, which halves each later start.
archive_classes() {
    java_17_or_die
    say "preparing Kafka $VERSION for fast starts"
    local trial=$CACHE/trial
    if (
        DIR=$trial
        TRIAL=yes up --with-parent $$ >/dev/null
        JIT=quick tool_java "-XX:ArchiveClassesAtExit=$CACHE/tool.jsa" \
            -cp "$CACHE/lib/*" org.apache.kafka.tools.TopicCommand \
            --bootstrap-server "$(fact bootstrap)" --list
        # The archive is written as the broker ends, which takes longer than an end does.
        TIMEOUT=60 stop_node 1
        down
    ) >&2 9>&-; then
        mv "$CACHE/broker.jsa" "$CACHE/broker-$JAVA_ID.jsa" 2>/dev/null || true
        mv "$CACHE/tool.jsa" "$CACHE/tool-$JAVA_ID.jsa" 2>/dev/null || true
    else
        say "no fast starts, then; Kafka is there all the same"
    fi
    : >"$CACHE/tool-$JAVA_ID"
}
