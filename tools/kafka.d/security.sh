# shellcheck shell=bash
# Users, certificates and what brokers and clients are told of them.

security_properties() {
    local pair users= name
    for pair in $PASSWORDS; do users+=" user_${pair%%:*}=\"${pair#*:}\""; done
    local module=org.apache.kafka.common.security
    cat <<PROPERTIES
ssl.keystore.type=PEM
ssl.keystore.location=$DIR/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$DIR/tls/ca.pem
ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
PROPERTIES
    for name in sasl_plaintext sasl_ssl; do
        cat <<PROPERTIES
listener.name.$name.plain.sasl.jaas.config=$module.plain.PlainLoginModule required$users;
listener.name.$name.scram-sha-256.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.$name.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
PROPERTIES
    done
}

# A CA, a server's and a client's certificate of it, and a CA that signed neither.
certificates() {
    command -v openssl >/dev/null || die "no openssl here to make certificates with; on Debian: apt-get install openssl"
    mkdir -p "$DIR/tls"
    (
        cd "$DIR/tls"
        cat >conf <<'CONF'
[req]
distinguished_name = name
prompt = no
[name]
CN = set by -subj
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1,IP:::1
[client]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = clientAuth
subjectAltName = DNS:alice
CONF
        local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config conf) name
        for name in ca other-ca; do
            openssl req -x509 "${key[@]}" -extensions ca -subj "/CN=$name" -days 3650 -keyout "$name.key" -out "$name.pem"
        done
        for name in server client; do
            openssl req "${key[@]}" -subj "/CN=$([ $name = server ] && echo localhost || echo alice)" -keyout "$name.key" -out "$name.csr"
            openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
                -extfile conf -extensions "$name" -out "$name.crt"
        done
        cat server.key server.crt ca.pem >server.pem
    ) >"$DIR/tls.log" 2>&1 || { cat "$DIR/tls.log" >&2; die "openssl could not make the certificates; see above"; }
}

# Settings of a client, in Kafka's own names, for each way in.
client_properties() {
    local name lower module=org.apache.kafka.common.security.scram.ScramLoginModule
    for name in SSL SASL_PLAINTEXT SASL_SSL; do
        lower=${name,,}
        {
            echo "bootstrap.servers=$(addresses $name)"
            echo "security.protocol=$name"
            [[ $name == *SSL ]] && printf '%s\n' ssl.truststore.type=PEM "ssl.truststore.location=$DIR/tls/ca.pem"
            [[ $name != SASL* ]] || printf '%s\n' sasl.mechanism=SCRAM-SHA-512 \
                "sasl.jaas.config=$module required username=\"alice\" password=\"alice-secret\";"
        } >"$DIR/$lower.properties"
    done
}
