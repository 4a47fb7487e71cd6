//! What changes between two versions of a program: which state goes on, which is lost, which
//! begins anew.

use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use suiro_core::{Error, Result};

/// What becomes of the state and the topics of a program when its next version starts.
///
/// Shown as text, it has one line per change, and says what each one means.
///
/// ```
/// use suiro_engine::PlanDiff;
///
/// let diff = PlanDiff { stores_added: vec!["counts".into()], ..PlanDiff::default() };
/// assert!(diff.keeps_state());
/// assert_eq!(diff.to_string(), "+ store counts: empty at first\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanDiff {
    /// The names of the app, if it has another one: then everything begins anew.
    pub app: Option<(String, String)>,
    /// Steps, sources and sinks that are new.
    pub steps_added: Vec<String>,
    /// Steps, sources and sinks that are gone.
    pub steps_removed: Vec<String>,
    /// Stores that are new. They are empty at first, and hold what comes from now on.
    pub stores_added: Vec<String>,
    /// Stores that are gone. Their state stays in the changelog and is not used.
    pub stores_removed: Vec<String>,
    /// Pairs of the two above whose rows have the same form: perhaps one store that has another
    /// name now. Its state does not follow.
    pub stores_renamed: Vec<(String, String)>,
    /// Stores whose rows are laid out in another way: name, old form, new form. The start refuses
    /// them unless a migration fits.
    pub stores_changed: Vec<(String, String, String)>,
    /// Stores that get their rows from elsewhere: name, old inputs, new inputs. Their state goes
    /// on, if the new inputs have as many partitions.
    pub stores_moved: Vec<(String, String, String)>,
    /// Internal topics that are new.
    pub topics_added: Vec<String>,
    /// Internal topics that are used no more. What lay under way in a repartition is lost.
    pub topics_removed: Vec<String>,
}

impl PlanDiff {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all state goes on: no store is lost, changed or renamed, and no row that is under
    /// way through a repartition is lost.
    pub fn keeps_state(&self) -> bool {
        self.app.is_none()
            && self.stores_removed.is_empty()
            && self.stores_changed.is_empty()
            && self.topics_removed.is_empty()
    }
}

impl fmt::Display for PlanDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        if let Some((old, new)) = &self.app {
            writeln!(f, "app {old} is now {new}: all positions and state begin anew")?;
        }
        let mut lines = |items: &[String], text: &str| {
            items.iter().try_for_each(|item| writeln!(f, "{}", text.replace("{}", item)))
        };
        lines(&self.steps_added, "+ {}")?;
        lines(&self.steps_removed, "- {}")?;
        lines(&self.stores_added, "+ store {}: empty at first")?;
        lines(&self.stores_removed, "- store {}: its state is not used any more")?;
        lines(&self.topics_added, "+ topic {}")?;
        lines(&self.topics_removed, "- topic {}: not used any more")?;
        for (old, new) in &self.stores_renamed {
            writeln!(f, "? store {old} may be store {new} now: its state does not follow")?;
        }
        for (store, old, new) in &self.stores_changed {
            writeln!(f, "! store {store} has another form: the start refuses it")?;
            writeln!(f, "    was {old}\n    is  {new}")?;
        }
        for (store, old, new) in &self.stores_moved {
            writeln!(
                f,
                "~ store {store} is fed by {new}, and was by {old}: its state goes on"
            )?;
        }
        Ok(())
    }
}

impl Plan {
    /// Compares this plan with another version of it, as [`Plan::describe`] has written it down:
    /// what moves, what seems renamed, what state is lost or new, and which internal topics come
    /// and go. The error says that the text is none of `describe`.
    ///
    /// ```
    /// use suiro_engine::{Graph, Plan};
    ///
    /// let named = |name: &str| Plan::new(Graph { name: name.into(), ..Graph::default() });
    /// let (old, new) = (named("orders")?, named("sales")?);
    /// assert!(new.diff(&new.describe())?.is_empty());
    /// assert_eq!(new.diff(&old.describe())?.app, Some(("orders".into(), "sales".into())));
    /// assert!(new.diff("tea, milk").is_err());
    /// # Ok::<(), suiro_core::Error>(())
    /// ```
    pub fn diff(&self, old: &str) -> Result<PlanDiff> {
        let old = Described::parse(old)?;
        let text = self.describe();
        let new = Described::parse(&text)?;
        if old.app != new.app {
            let app = Some((old.app.to_owned(), new.app.to_owned()));
            return Ok(PlanDiff { app, ..PlanDiff::default() });
        }
        let mut diff = PlanDiff {
            steps_added: more(&new.steps, &old.steps),
            steps_removed: more(&old.steps, &new.steps),
            topics_added: new.topics.difference(&old.topics).map(|it| (*it).into()).collect(),
            topics_removed: old.topics.difference(&new.topics).map(|it| (*it).into()).collect(),
            ..PlanDiff::default()
        };
        for (name, store) in &new.stores {
            let Some(was) = old.stores.get(name) else {
                diff.stores_added.push((*name).to_owned());
                continue;
            };
            let changed =
                |old: &str, new: &str| ((*name).to_owned(), old.to_owned(), new.to_owned());
            if was.form != store.form {
                diff.stores_changed.push(changed(was.form, store.form));
            }
            if was.inputs != store.inputs {
                let list = |inputs: &BTreeSet<&str>| {
                    inputs.iter().copied().collect::<Vec<_>>().join(", ")
                };
                diff.stores_moved.push(changed(&list(&was.inputs), &list(&store.inputs)));
            }
        }
        for (name, store) in
            old.stores.iter().filter(|(name, _)| !new.stores.contains_key(*name))
        {
            diff.stores_removed.push((*name).to_owned());
            let mut added =
                new.stores.iter().filter(|(name, _)| !old.stores.contains_key(*name));
            let same =
                added.find(|(_, added)| added.form == store.form && !store.form.is_empty());
            let renamed = same.map(|(new, _)| ((*name).to_owned(), (*new).to_owned()));
            diff.stores_renamed.extend(renamed);
        }
        Ok(diff)
    }
}

/// What is in `all` more often than in `others`.
fn more(all: &BTreeMap<&str, usize>, others: &BTreeMap<&str, usize>) -> Vec<String> {
    let more = all.iter().flat_map(|(step, count)| {
        let left = count.saturating_sub(others.get(step).copied().unwrap_or(0));
        std::iter::repeat_n((*step).to_owned(), left)
    });
    more.collect()
}

/// A plan as its text tells it.
#[derive(Default)]
struct Described<'a> {
    app: &'a str,
    /// How often there is a step of this name.
    steps: BTreeMap<&'a str, usize>,
    stores: BTreeMap<&'a str, Store<'a>>,
    topics: BTreeSet<&'a str>,
}

#[derive(Default)]
struct Store<'a> {
    form: &'a str,
    inputs: BTreeSet<&'a str>,
}

impl<'a> Described<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut plan = Self::default();
        let wrong = |line: &str| {
            Error::invalid("text is no description of a plan, as `describe` writes it")
                .with("line", line)
        };
        let (mut inputs, mut last) = (BTreeSet::new(), None);
        for line in text.lines() {
            let words = line.trim_start();
            let depth = line.len() - words.len();
            if let Some(app) = words.strip_prefix("app ").filter(|_| depth == 0) {
                plan.app = app;
            } else if depth == 0
                && (words.starts_with("dead letters to ") || words.starts_with("time goes on "))
            {
                *plan.steps.entry(words).or_default() += 1;
            } else if words.starts_with("sub-topology ") {
                inputs = BTreeSet::new();
            } else if let Some(store) = words.strip_prefix("store ").filter(|_| depth == 5) {
                let (name, log) =
                    store.split_once(": changelog ").ok_or_else(|| wrong(line))?;
                let log = log.rsplit(' ').next().unwrap_or(log);
                plan.topics.insert(log);
                let inputs = inputs.clone();
                plan.stores.insert(name, Store { form: "", inputs });
                last = Some(name);
            } else if let Some(topic) = words.strip_prefix("sends through ") {
                plan.topics.insert(topic);
            } else if depth == 7 {
                let store = last.and_then(|name| plan.stores.get_mut(name));
                store.ok_or_else(|| wrong(line))?.form = words;
            } else if !words.is_empty() {
                let (_, step) = words.split_once(' ').ok_or_else(|| wrong(line))?;
                let step = step.split(" <- ").next().unwrap_or(step);
                let step = step.trim_end_matches(" (row by row)");
                *plan.steps.entry(step).or_default() += 1;
                if step.starts_with("source ") || step.starts_with("receive ") {
                    inputs.insert(step);
                }
            }
        }
        if plan.app.is_empty() {
            return Err(wrong(text.lines().next().unwrap_or_default()));
        }
        Ok(plan)
    }
}
