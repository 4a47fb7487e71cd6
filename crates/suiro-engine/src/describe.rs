//! What a plan looks like as text, for people and for version control.

use crate::graph::NodeKind;
use crate::plan::Plan;
use std::fmt::Write;

impl Plan {
    /// The plan as text: sub-topologies, their steps, their stores and topics.
    ///
    /// The text depends on the program only, so that it can be kept under version control and
    /// a change of it be read in review.
    pub fn describe(&self) -> String {
        let mut text = format!("app {}\n", self.graph.name);
        if let Some(silence) = self.graph.idle_after {
            writeln!(text, "time goes on after {silence:?} of silence")
                .expect("writing to a string does not fail");
        }
        for letters in &self.graph.letters {
            let line = format!("dead letters to {}\n", self.graph.topics[*letters]);
            text += &line;
        }
        for topic in self.globals() {
            let line = format!(
                "global table {topic}: whole in every process, read to its end before the \
                 start; later updates count as they arrive, outside of D1\n"
            );
            text += &line;
        }
        for (number, sub) in self.subs.iter().enumerate() {
            let line = format!("\nsub-topology {number}\n");
            text += &line;
            for id in &sub.nodes {
                let node = &self.graph.nodes[*id];
                let from: Vec<_> =
                    node.inputs.iter().map(|edge| edge.node.to_string()).collect();
                let from = if from.is_empty() {
                    String::new()
                } else {
                    format!(" <- {}", from.join(", "))
                };
                let one_by_one = if self.links[*id].cut { " (row by row)" } else { "" };
                writeln!(text, "  {id:>2} {}{from}{one_by_one}", node.label)
                    .expect("writing to a string does not fail");
            }
            for store in &sub.stores {
                let spec = &self.graph.stores[*store];
                let log = match &spec.topic {
                    Some(topic) if !spec.differs => {
                        format!("{topic} if it is compacted, else {}", self.changelog(*store))
                    }
                    _ => self.changelog(*store).to_string(),
                };
                writeln!(
                    text,
                    "     store {}: changelog {log}",
                    self.graph.stores[*store].name
                )
                .expect("writing to a string does not fail");
                if let Some(form) = (self.graph.stores[*store].make)().form() {
                    writeln!(text, "       {form}").expect("writing to a string does not fail");
                }
            }
            for id in &sub.nodes {
                if let NodeKind::Send(exchange, _) = self.graph.nodes[*id].kind {
                    writeln!(text, "     sends through {}", self.repartition(exchange))
                        .expect("writing to a string does not fail");
                }
            }
        }
        text
    }
}
