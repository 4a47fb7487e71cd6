//! The harness itself: Kafka's own tools find what they should, and no broker outlives its test.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use suiro_kafka_harness::{Kafka, Options};

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_tool_lists_the_topics_that_another_has_made() -> Outcome {
    let Some(kafka) = Kafka::shared() else { return Ok(()) };
    let [one, other, group] = ["one", "other", "group"].map(|name| kafka.unique(name));
    for topic in [&one, &other] {
        kafka.tool("kafka-topics", &["--create", "--topic", topic, "--partitions", "2"], "")?;
    }
    let topics = kafka.tool("kafka-topics", &["--list"], "")?;
    let found = topics.lines().filter(|line| [&one, &other].map(String::as_str).contains(line));
    assert_eq!(found.count(), 2, "{topics}");

    let lines: String = (0..50_000).map(|line| format!("línea {line}\n")).collect();
    kafka.tool("kafka-topics", &["--create", "--topic", &group, "--partitions", "1"], "")?;
    kafka.tool("kafka-console-producer", &["--topic", &group], &lines)?;
    let reading = ["--topic", &group, "--from-beginning", "--max-messages", "50000"];
    let read = kafka.tool("kafka-console-consumer", &reading, "")?;
    assert_eq!(read, lines);
    Ok(())
}

#[test]
fn a_tool_that_fails_says_why() -> Outcome {
    let Some(kafka) = Kafka::shared() else { return Ok(()) };
    let missing = kafka.unique("missing");
    let error = kafka.tool("kafka-topics", &["--describe", "--topic", &missing], "");
    let error = error.expect_err("there is no such topic").to_string();
    assert!(error.contains(&missing) && error.contains("does not exist"), "{error}");
    Ok(())
}

#[test]
fn a_killed_node_comes_back_with_its_data() -> Outcome {
    let options = Options::new().nodes(3).set("broker.session.timeout.ms", "2000");
    let Some(kafka) = Kafka::own(&options) else { return Ok(()) };
    kafka.tool("kafka-topics", &["--create", "--topic", "kept", "--partitions", "3"], "")?;
    kafka.tool("kafka-console-producer", &["--topic", "kept"], "a\nb\nc\n")?;
    let killed = kafka.pid(2)?;
    kafka.kill(2)?;
    assert!(kafka.pid(2).is_err());
    assert!(kafka.kill(2).is_err(), "a node that is down was killed");
    kafka.restart(2)?;
    assert_ne!(kafka.pid(2)?, killed);
    let reading = ["--topic", "kept", "--from-beginning", "--max-messages", "3"];
    let read = kafka.tool("kafka-console-consumer", &reading, "")?;
    let mut read: Vec<_> = read.lines().collect();
    read.sort_unstable();
    assert_eq!(read, ["a", "b", "c"]);

    kafka.pause(3)?;
    kafka.resume(3)?;
    kafka.stop(3)?;
    assert!(kafka.pid(3).is_err());
    Ok(())
}

#[test]
fn users_come_in_and_have_the_rights_they_are_given_on_the_oldest_version_too() -> Outcome {
    let options = Options::new().version("3.9.2").security().authorization();
    let Some(kafka) = Kafka::own(&options) else { return Ok(()) };
    let fact = |name: &str| kafka.fact(name).unwrap_or_else(|| panic!("no fact {name}"));
    kafka.tool("kafka-topics", &["--create", "--topic", "guarded"], "")?;
    let list = |way: &str| {
        let [address, properties] = [fact(way), fact(&format!("properties_{way}"))];
        let arguments = ["--bootstrap-server", address, "--command-config", properties];
        kafka.tool("kafka-topics", &[&arguments[..], &["--list"]].concat(), "")
    };
    assert_eq!(fact("version"), "3.9.2");
    assert!(list("ssl")?.contains("guarded"), "who gives no name is not let in");
    for way in ["sasl_plaintext", "sasl_ssl"] {
        assert!(!list(way)?.contains("guarded"), "{way} shows what is guarded");
    }
    let rights = ["--add", "--allow-principal", "User:alice", "--operation", "describe"];
    kafka.tool("kafka-acls", &[&rights[..], &["--topic", "guarded"]].concat(), "")?;
    for way in ["sasl_plaintext", "sasl_ssl"] {
        assert!(list(way)?.contains("guarded"), "{way} does not show what it should");
    }
    for file in ["ca", "other_ca", "client_certificate", "client_key"] {
        assert!(Path::new(fact(file)).exists(), "{file}");
    }
    Ok(())
}

#[test]
fn options_that_no_broker_takes_leave_nothing_behind() -> Outcome {
    // Only where a broker that is right would start.
    if Kafka::shared().is_none() {
        return Ok(());
    }
    let options = Options::new().set("num.io.threads", "many");
    let error =
        Kafka::start(&options).map(drop).expect_err("a broker with many threads").to_string();
    assert!(error.contains("num.io.threads") && error.contains("did not start"), "{error}");
    Ok(())
}

#[test]
fn a_cluster_ends_with_the_process_that_it_was_started_for() -> Outcome {
    if Kafka::shared().is_none() {
        return Ok(());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/kafka");
    let dir = tempdir()?;
    // It reads a pipe that nobody writes to, and so lives until it is killed.
    let mut parent = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let arguments = ["up", "--dir", &dir, "--with-parent", &parent.id().to_string()];
    let up = Command::new(script).args(arguments).stdin(Stdio::null()).output()?;
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let facts = String::from_utf8(up.stdout)?;
    let pid = facts.lines().find_map(|line| line.strip_prefix("pid.1=")).expect("a pid");
    assert!(Path::new("/proc").join(pid).exists(), "the broker does not run");
    parent.kill()?;
    parent.wait()?;
    let waiting = ["30", "tail", "-s", "0.1", "--pid", pid, "-f", "/dev/null"];
    assert!(Command::new("timeout").args(waiting).status()?.success(), "the broker lives on");
    Ok(())
}

/// A directory that is not there yet; the end of the cluster removes it.
fn tempdir() -> Result<String, Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("suiro-kafka-orphan-{}", std::process::id()));
    Ok(dir.to_str().ok_or("the temporary directory has a strange name")?.to_owned())
}
