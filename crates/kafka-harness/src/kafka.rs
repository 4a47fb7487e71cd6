//! A running cluster.

use crate::available::{Wish, wanted};
use crate::options::Options;
use crate::scratch::{Scratch, unique};
use crate::script::Script;
use std::collections::BTreeMap;
use std::io;
use std::process;
use std::sync::OnceLock;

/// A cluster of Apache Kafka. It ends when it is dropped or when this process ends, however that goes.
pub struct Kafka {
    script: Script,
    facts: BTreeMap<String, String>,
}

impl Kafka {
    /// The one cluster that all tests of this process share: one node with [`Options::new`], or the
    /// one that `SUIRO_KAFKA` names. `None` if tests on Kafka are left out, which stderr then says.
    ///
    /// # Panics
    ///
    /// If Kafka is there but does not start.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
        let wish = Wish::read();
        if let Wish::Running(addresses) = wish {
            return SHARED.get_or_init(|| Some(Self::running(addresses))).as_ref();
        }
        // Each test that is left out says so, and not the first alone.
        if !wanted(&wish) {
            return None;
        }
        SHARED.get_or_init(|| Some(Self::start_or_panic(&Options::new()))).as_ref()
    }

    /// A cluster for one test alone. `None` if tests on Kafka are left out, which stderr then says.
    ///
    /// # Panics
    ///
    /// If Kafka is there but does not start.
    #[must_use]
    pub fn own(options: &Options) -> Option<Self> {
        wanted(&Wish::read()).then(|| Self::start_or_panic(options))
    }

    fn start_or_panic(options: &Options) -> Self {
        Self::start(options).unwrap_or_else(|error| panic!("Kafka does not start: {error}"))
    }

    /// Starts a cluster and waits until it answers. The first start of a version fetches it.
    ///
    /// # Errors
    ///
    /// If there is no Java or Maven, if Kafka cannot be fetched, or with the end of the brokers' logs
    /// if they do not start.
    pub fn start(options: &Options) -> io::Result<Self> {
        let script = Script::new(std::env::temp_dir().join(unique("suiro-kafka")));
        let parent = process::id().to_string();
        let mut arguments = vec!["up", "--with-parent", &parent];
        arguments.extend(options.arguments.iter().map(String::as_str));
        let facts = facts(&script.run(&arguments)?);
        Ok(Self { script, facts })
    }

    fn running(addresses: String) -> Self {
        let facts = BTreeMap::from([("bootstrap".to_owned(), addresses)]);
        Self { script: Script::without_cluster(), facts }
    }

    /// The addresses of the plain listeners, `HOST:PORT` with commas between.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        self.fact("bootstrap").unwrap_or_default()
    }

    /// What `tools/kafka up` has printed under this name: `version`, `port.1`, and with
    /// [`Options::security`] `ssl`, `sasl_plaintext` and `sasl_ssl` (addresses), `ca` and `other_ca`
    /// (PEM files, the second of a CA that signed nothing here), `client_certificate`, `client_key`,
    /// `user`, `password`, `other_user`, `other_password`, and `properties_ssl`,
    /// `properties_sasl_plaintext`, `properties_sasl_ssl` (files with settings of a client).
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }

    /// A name that no other test has taken, in this process or before: for topics, groups and ids.
    #[must_use]
    pub fn unique(&self, name: &str) -> String {
        unique(name)
    }

    /// The process of a node, from 1.
    ///
    /// # Errors
    ///
    /// If the node is down, or the cluster is not one that was started here.
    pub fn pid(&self, node: u8) -> io::Result<u32> {
        let pid = self.of_our_own()?.run(&["pid", &node.to_string()])?;
        pid.trim().parse().map_err(io::Error::other)
    }

    /// Kills a node (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it is down already, or the cluster is not one that was started here.
    pub fn kill(&self, node: u8) -> io::Result<()> {
        self.order("kill", node)
    }

    /// Lets a node shut down in order (SIGTERM) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If the cluster is not one that was started here.
    pub fn stop(&self, node: u8) -> io::Result<()> {
        self.order("stop", node)
    }

    /// Starts a node again on its ports and data, and waits until it answers. After a kill this takes
    /// until the node's session with the controller has timed out: `broker.session.timeout.ms`, 9 s.
    ///
    /// # Errors
    ///
    /// If it runs, does not start, or the cluster is not one that was started here.
    pub fn restart(&self, node: u8) -> io::Result<()> {
        self.order("start", node)
    }

    /// Halts a node (SIGSTOP): its connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// If it is down, or the cluster is not one that was started here.
    pub fn pause(&self, node: u8) -> io::Result<()> {
        self.order("pause", node)
    }

    /// Lets a halted node go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// If it is down, or the cluster is not one that was started here.
    pub fn resume(&self, node: u8) -> io::Result<()> {
        self.order("cont", node)
    }

    /// Runs one of Kafka's own tools, as `kafka-topics`, with text on its stdin; gives its stdout.
    /// The tool is told the address of the cluster, unless the arguments name one.
    ///
    /// # Errors
    ///
    /// With all that the tool has said, if it fails.
    pub fn tool(&self, name: &str, arguments: &[&str], stdin: &str) -> io::Result<String> {
        let mut all = vec!["tool", name];
        if self.script.dir().is_none() && !arguments.contains(&"--bootstrap-server") {
            all.extend(["--bootstrap-server", self.bootstrap()]);
        }
        all.extend(arguments);
        // A file is read at the tool's leisure; a pipe would want somebody to write meanwhile.
        let input = Scratch::new(stdin)?;
        self.script.run_on(&all, input.open()?)
    }

    fn order(&self, what: &str, node: u8) -> io::Result<()> {
        self.of_our_own()?.run(&[what, &node.to_string()]).map(drop)
    }

    fn of_our_own(&self) -> io::Result<&Script> {
        let foreign =
            || io::Error::other("SUIRO_KAFKA names a cluster that is not ours to harm");
        self.script.dir().map(|_| &self.script).ok_or_else(foreign)
    }
}

/// The lines `KEY=VALUE` of what the script says.
fn facts(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if self.script.dir().is_some() {
            // If it fails, the end of this process ends the cluster.
            let _ = self.script.run(&["down"]);
        }
    }
}
