//! The topics that belong to a program itself: what they must be, and whether they are.
//!
//! One that exists may have been made by an older version of the program, by hand, or by a broker
//! that makes topics by itself. The rows of an app would be in other partitions than they are
//! looked for in, or be deleted before they are read; so such a topic is refused.

use crate::graph::NodeKind;
use crate::layout::{Layout, Partitions};
use crate::link::Link;
use crate::plan::Plan;
use std::sync::Arc;
use suiro_core::broker::{Cleanup, TopicSpec};
use suiro_core::{Error, Result};

impl Layout {
    /// The topics that the program itself needs.
    pub(crate) fn internal(&self, plan: &Plan) -> Vec<TopicSpec> {
        let mut specs = Vec::new();
        for exchange in 0..plan.graph.exchanges.len() {
            let partitions = self.of_exchange(exchange);
            let name = plan.repartition(exchange);
            specs.push(TopicSpec { name, partitions, cleanup: Cleanup::Keep });
        }
        for node in &plan.graph.nodes {
            if let NodeKind::Generator(spec) = &node.kind {
                let (name, partitions) = (plan.generator(spec), spec.partitions);
                specs.push(TopicSpec { name, partitions, cleanup: Cleanup::Keep });
            }
        }
        let own = |store| !self.source_is_changelog(plan, store);
        if (0..plan.graph.stores.len()).any(own) {
            let (name, cleanup) = (plan.forms(), Cleanup::Compact);
            specs.push(TopicSpec { name, partitions: 1, cleanup });
        }
        for (sub, partitions) in plan.subs.iter().zip(&self.subs) {
            for store in &sub.stores {
                if !self.source_is_changelog(plan, *store) {
                    let name = plan.changelog(*store);
                    let cleanup = Cleanup::Compact;
                    specs.push(TopicSpec { name, partitions: *partitions, cleanup });
                }
            }
        }
        specs
    }
}

/// Refuses topics that exist and are not as the program needs them.
pub(crate) fn check(needed: &[TopicSpec], link: &mut Link) -> Result<()> {
    let names: Vec<Arc<str>> = needed.iter().map(|spec| Arc::clone(&spec.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    for known in link.describe(&names)? {
        if let Some(needed) = needed.iter().find(|spec| spec.name == known.name) {
            compare(&known, needed)?;
        }
    }
    Ok(())
}

fn compare(known: &TopicSpec, needed: &TopicSpec) -> Result<()> {
    if known.partitions != needed.partitions {
        let text = "the sources have another number of partitions than when this internal topic \
                    was made; go back to that number, or reset the app, or give it, or the store \
                    or repartition that the topic is of, a new name, and it begins anew";
        return Err(Error::invalid(text)
            .with("topic", &known.name)
            .with("partitions", known.partitions)
            .with("needed", needed.partitions));
    }
    if known.cleanup == needed.cleanup {
        return Ok(());
    }
    let text = match needed.cleanup {
        Cleanup::Compact => {
            "this internal topic must be compacted, and nothing else: rows of state would be \
             deleted by their age, or never go; let the topic be as needed, or reset the app"
        }
        _ => {
            "this internal topic must keep its rows until the app deletes them: some would be \
             deleted before they are read; let the topic be as needed, or reset the app"
        }
    };
    let settings = settings(needed.cleanup);
    let command = format!(
        "kafka-configs --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name \
         {} --add-config {settings}",
        known.name
    );
    Err(Error::invalid(text)
        .with("topic", &known.name)
        .with("has", self::settings(known.cleanup))
        .with("needed", settings)
        .with("command_on_kafka", command))
}

/// What may be deleted, in Kafka's words.
fn settings(cleanup: Cleanup) -> String {
    let (after, bytes) = match cleanup {
        Cleanup::Compact => return "cleanup.policy=compact".to_owned(),
        Cleanup::Keep => (None, None),
        Cleanup::Delete { after, bytes } => (after.map(|it| it.as_millis()), bytes),
    };
    let after = after.map_or("-1".to_owned(), |it| it.to_string());
    let bytes = bytes.map_or("-1".to_owned(), |it| it.to_string());
    format!("cleanup.policy=delete,retention.ms={after},retention.bytes={bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn refused(has: (u32, Cleanup), needs: (u32, Cleanup)) -> Option<String> {
        let spec =
            |(partitions, cleanup)| TopicSpec { name: "app.t".into(), partitions, cleanup };
        let error = compare(&spec(has), &spec(needs)).err()?;
        assert_eq!(error.kind(), suiro_core::ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("topic=`app.t`") && text.contains("reset the app"), "{text}");
        Some(text)
    }

    #[test]
    fn only_what_is_as_needed_is_taken() {
        let (keep, compact) = (Cleanup::Keep, Cleanup::Compact);
        let aged =
            Cleanup::Delete { after: Some(Duration::from_mins(1)), bytes: Some(1 << 20) };
        // What brokers compact and delete from is described so.
        let both = Cleanup::Delete { after: None, bytes: None };
        for needed in [keep, compact] {
            assert_eq!(refused((3, needed), (3, needed)), None);
            let text = refused((2, needed), (3, needed)).unwrap();
            assert!(text.contains("partitions=`2` needed=`3`"), "{text}");
            for other in [aged, both] {
                refused((3, other), (3, needed)).unwrap();
            }
        }
        let text = refused((3, keep), (3, compact)).unwrap();
        assert!(text.contains("needed=`cleanup.policy=compact`"), "{text}");
        let text = refused((3, compact), (3, keep)).unwrap();
        assert!(text.contains("has=`cleanup.policy=compact`"), "{text}");
        assert!(text.contains("--add-config cleanup.policy=delete,retention.ms=-1,"), "{text}");
        let text = refused((3, aged), (3, keep)).unwrap();
        assert!(text.contains("retention.ms=60000,retention.bytes=1048576"), "{text}");
    }
}
