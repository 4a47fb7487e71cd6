//! A run that is told step by step.

use crate::draw::{Mark, Picture, Span};
use suiro::{Log, Plan, Producer, Result, TestDriver, TestOptions, Topic, Topology};

/// A result: after which record it came, where, of which time, and what.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    after: usize,
    topic: String,
    at: i64,
    text: String,
}

pub fn heard(after: usize, topic: &str, at: i64, text: &str) -> Heard {
    Heard { after, topic: topic.to_owned(), at, text: text.to_owned() }
}

type Texts = Topic<String, String>;

pub struct Scene {
    name: &'static str,
    /// The program, before it is started.
    plan: Option<Plan>,
    log: Log,
    driver: Option<TestDriver>,
    outputs: Vec<Texts>,
    inputs: Vec<String>,
    sent: Vec<(String, Mark)>,
    heard: Vec<Heard>,
}

impl Scene {
    pub fn new(
        name: &'static str,
        topology: Topology,
        inputs: &[&Texts],
        outputs: &[&Texts],
    ) -> Result<Self> {
        Ok(Self {
            name,
            plan: Some(topology.build()?),
            log: Log::in_memory(),
            driver: None,
            outputs: outputs.iter().map(|topic| (*topic).clone()).collect(),
            inputs: inputs.iter().map(|topic| topic.name().to_owned()).collect(),
            sent: Vec::new(),
            heard: Vec::new(),
        })
    }

    /// Writes a record, and lets the program go on until it is quiet.
    pub fn send(
        &mut self,
        topic: &Texts,
        key: &str,
        value: Option<&str>,
        at: i64,
    ) -> Result<()> {
        self.put(topic, key, value, at)?;
        self.listen(self.sent.len())
    }

    /// Writes a record, and no more.
    pub fn put(
        &mut self,
        topic: &Texts,
        key: &str,
        value: Option<&str>,
        at: i64,
    ) -> Result<()> {
        let mut producer = Producer::open(&self.log, topic)?;
        producer.create(1)?;
        match value {
            Some(value) => producer.send(key.into(), value.into(), at)?,
            None => producer.remove(key.into(), at)?,
        }
        producer.flush()?;
        let number = self.sent.len() + 1;
        let text = format!("{number}: {}", value.unwrap_or("null"));
        self.sent.push((topic.name().to_owned(), Mark { at, text }));
        Ok(())
    }

    /// Lets the program take what is there.
    pub fn run(&mut self) -> Result<()> {
        self.listen(0)
    }

    fn listen(&mut self, after: usize) -> Result<()> {
        if let Some(plan) = self.plan.take() {
            let log = self.log.clone();
            self.driver = Some(TestDriver::on_log(plan, TestOptions::default(), log)?);
        }
        let driver = self.driver.as_mut().expect("the program was started");
        driver.run()?;
        for topic in &self.outputs {
            for record in driver.read(topic)? {
                let (at, text) = (record.at.as_millis(), record.value);
                self.heard.push(Heard { after, topic: topic.name().to_owned(), at, text });
            }
        }
        Ok(())
    }

    /// What was heard is what is expected, and the picture of it is the one in the guide.
    pub fn check(self, said: &[Heard], spans: &[Span]) -> Result<()> {
        assert_eq!(self.heard, said);
        let of = |name: &str| {
            let sent = self.sent.iter().filter(move |(topic, _)| topic == name);
            sent.map(|(_, mark)| mark.clone()).collect()
        };
        let inputs = self.inputs.iter().map(|name| (name.as_str(), of(name)));
        let result = |heard: &Heard| Mark {
            at: heard.at,
            text: match heard.after {
                0 => heard.text.clone(),
                after => format!("after {after}: {}", heard.text),
            },
        };
        let outputs = self.outputs.iter().map(|topic| {
            let heard = self.heard.iter().filter(|heard| heard.topic == topic.name());
            (topic.name(), heard.map(result).collect())
        });
        let lanes = inputs.chain(outputs).collect();
        Picture { lanes, inputs: self.inputs.len(), spans }.hold(self.name);
        Ok(())
    }
}
