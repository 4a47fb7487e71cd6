//! Writes the topology of a case down as a program of this library.

use super::case::{Case, Node, Window};
use super::function;
use super::output::Shown;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    CountWindows, GlobalTable, Hopping, InWindow, JsonKey, NoKey, Plan, Sessions, Sliding,
    Stream, Table, Text, Topic, Topology, Tumbling, Unkeyed, VersionedTable, WindowTable,
    Within,
};

// `key_by` gives JSON keys, which are plain text for strings; joins ask for one key format.
const TEXT: Topic<String, String> = Topic::of("", &JsonKey, &Text);
const UNKEYED: Topic<NoKey, String> = Topic::of("", &Unkeyed, &Text);
const OUT: Topic<String, String> = Topic::of("", &JsonKey, &Shown);
const CHANGES: Topic<String, Option<String>> = Topic::of("", &JsonKey, &Shown);
const WINDOWS: Topic<String, Windowed> = Topic::of("", &JsonKey, &Shown);

type Windowed = InWindow<Option<String>>;

/// What a node gives.
#[derive(Clone)]
enum Handle {
    Unkeyed(Stream<NoKey, String>),
    Stream(Keyed),
    /// Changes of a table: removals too.
    Changes(Stream<String, Option<String>>),
    Windows(Stream<String, Windowed>),
    Table(Table<String, String>),
    Versioned(VersionedTable<String, String>),
    Global(GlobalTable<String, String>),
}

/// A stream, and whether `key_by` gave it keys since it was last partitioned.
#[derive(Clone)]
struct Keyed {
    stream: Stream<String, String>,
    moved: bool,
}

/// The plan of a case.
pub fn plan(case: &Case) -> Result<Plan, String> {
    let program = Building { case, topology: Topology::new("case"), handles: BTreeMap::new() };
    program.build()
}

struct Building<'a> {
    case: &'a Case,
    topology: Topology,
    handles: BTreeMap<String, Handle>,
}

fn given(what: &Option<String>, node: &Node, name: &str) -> Result<String, String> {
    what.clone().ok_or_else(|| format!("node `{}` has no `{name}`", node.id))
}

fn keyed(stream: Stream<String, String>, moved: bool) -> Handle {
    Handle::Stream(Keyed { stream, moved })
}

impl Building<'_> {
    fn build(mut self) -> Result<Plan, String> {
        if let Some(silence) = self.case.topology.idle_after_ms {
            self.topology.idle_after(Duration::from_millis(silence));
        }
        let nodes = &self.case.topology.nodes;
        for node in nodes {
            if let Some(handle) = self.node(node)? {
                self.handles.insert(node.id.clone(), handle);
            }
        }
        self.topology.build().map_err(|error| error.report())
    }

    fn node(&mut self, node: &Node) -> Result<Option<Handle>, String> {
        let handle = match node.op.as_str() {
            "stream" => self.source(node)?,
            "table" => self.source_table(node)?,
            "global_table" => self.global_table(node)?,
            "map" => self.map(node)?,
            "filter" => self.filter(node)?,
            "flat_map" => {
                let at = function::splitter(&given(&node.function, node, "fn")?)?;
                let Keyed { stream, moved } = self.stream(node, 0)?;
                let split = move |value: String| -> Vec<String> {
                    value.split(&at).map(str::to_owned).collect()
                };
                keyed(stream.flat_map(split), moved)
            }
            "key_by" => self.key_by(node)?,
            "merge" => self.merge(node)?,
            "branch" => return self.branch(node).map(|()| None),
            "fold" => self.fold(node)?,
            "flatten_window" => {
                let Handle::Windows(windows) = self.from(node, 0)? else {
                    return Err(format!("node `{}` flattens no window results", node.id));
                };
                let flat = |window: Windowed| {
                    let InWindow { start, end, value } = window;
                    let value = value.expect("removals do not reach flatten_window");
                    format!("{value}@{}..{}", start.as_millis(), end.as_millis())
                };
                keyed(windows.map(flat), false)
            }
            "to_table" => Handle::Table(self.stream(node, 0)?.stream.to_table(&node.id)),
            "changes" => Handle::Changes(self.table(node, 0)?.changes()),
            "present" => self.present(node)?,
            "join" => self.join(node)?,
            "join_table" => self.join_table(node)?,
            "join_as_of" => self.join_as_of(node)?,
            "join_global" => self.join_global(node)?,
            "table_filter" => {
                let test = function::test(&given(&node.pred, node, "pred")?)?;
                Handle::Table(self.table(node, 0)?.filter(move |value| test(value)))
            }
            "table_map" => {
                let change = function::change(&given(&node.function, node, "fn")?)?;
                Handle::Table(self.table(node, 0)?.map(move |value| change(value)))
            }
            "table_group_fold" => self.table_group_fold(node)?,
            "table_join" => self.table_join(node)?,
            "foreign_key_join" => self.foreign_key_join(node)?,
            "to" => return self.to(node).map(|()| None),
            other => return Err(format!("unknown operator `{other}`")),
        };
        Ok(Some(handle))
    }

    fn from(&self, node: &Node, index: usize) -> Result<Handle, String> {
        let id = node.from.get(index);
        let id = id.ok_or_else(|| format!("node `{}` lacks an input", node.id))?;
        let handle = self.handles.get(id).cloned();
        handle.ok_or_else(|| format!("node `{}` reads `{id}`, which is not there", node.id))
    }

    fn stream(&self, node: &Node, index: usize) -> Result<Keyed, String> {
        match self.from(node, index)? {
            Handle::Stream(stream) => Ok(stream),
            _ => Err(format!("node `{}` needs a stream of plain values", node.id)),
        }
    }

    fn table(&self, node: &Node, index: usize) -> Result<Table<String, String>, String> {
        match self.from(node, index)? {
            Handle::Table(table) => Ok(table),
            Handle::Versioned(table) => Ok(table.newest()),
            _ => Err(format!("node `{}` needs a table", node.id)),
        }
    }

    fn source_table(&self, node: &Node) -> Result<Handle, String> {
        let topic = TEXT.named(given(&node.topic, node, "topic")?);
        if let Some(history) = node.history_ms {
            let history = Duration::from_millis(history);
            return Ok(Handle::Versioned(self.topology.versioned_table(&topic, history)));
        }
        let table = self.topology.table(&topic);
        Ok(Handle::Table(match node.ttl_ms {
            Some(ttl) => table.ttl(Duration::from_millis(ttl)),
            None => table,
        }))
    }

    fn source(&self, node: &Node) -> Result<Handle, String> {
        let name = given(&node.topic, node, "topic")?;
        if node.unkeyed {
            return Ok(Handle::Unkeyed(self.topology.stream(&UNKEYED.named(name))));
        }
        let stream = self.topology.stream(&TEXT.named(name));
        let Some(time) = &node.timed_by else { return Ok(keyed(stream, false)) };
        let field = function::change(time)?;
        let time = move |value: &String| {
            field(value).parse::<i64>().expect("cases have decimals as times")
        };
        Ok(keyed(stream.timed_by(time), false))
    }

    fn map(&self, node: &Node) -> Result<Handle, String> {
        let change = function::change(&given(&node.function, node, "fn")?)?;
        let change = move |value: String| change(&value);
        Ok(match self.from(node, 0)? {
            Handle::Unkeyed(stream) => Handle::Unkeyed(stream.map(change)),
            Handle::Stream(Keyed { stream, moved }) => keyed(stream.map(change), moved),
            _ => return Err(format!("node `{}` maps no plain values", node.id)),
        })
    }

    fn filter(&self, node: &Node) -> Result<Handle, String> {
        let test = function::test(&given(&node.pred, node, "pred")?)?;
        let test = move |value: &String| test(value);
        Ok(match self.from(node, 0)? {
            Handle::Unkeyed(stream) => Handle::Unkeyed(stream.filter(test)),
            Handle::Stream(Keyed { stream, moved }) => keyed(stream.filter(test), moved),
            _ => return Err(format!("node `{}` filters no plain values", node.id)),
        })
    }

    fn key_by(&self, node: &Node) -> Result<Handle, String> {
        let name = given(&node.function, node, "fn")?;
        let make = function::make_key(&name)?;
        let with = move |key: &str, value: &str| {
            make(key, value).expect("key_by cannot give a null key")
        };
        let stream = match self.from(node, 0)? {
            Handle::Unkeyed(stream) => stream.key_by(move |value| with("", value)),
            Handle::Stream(Keyed { stream, .. }) if name == "key" => stream
                .map_with_key(move |key, value| (with(key, &value), value))
                .key_by(|(key, _)| key.clone())
                .map(|(_, value)| value),
            Handle::Stream(Keyed { stream, .. }) => stream.key_by(move |value| with("", value)),
            _ => return Err(format!("node `{}` keys no plain values", node.id)),
        };
        Ok(keyed(stream, true))
    }

    fn merge(&self, node: &Node) -> Result<Handle, String> {
        let mut all = self.stream(node, 0)?;
        for index in 1..node.from.len() {
            let next = self.stream(node, index)?;
            all.stream = all.stream.merge(next.stream);
            all.moved |= next.moved;
        }
        Ok(Handle::Stream(all))
    }

    fn branch(&mut self, node: &Node) -> Result<(), String> {
        let Keyed { stream: mut rest, moved } = self.stream(node, 0)?;
        for (number, pred) in node.preds.iter().enumerate() {
            let test = function::test(pred)?;
            let (taken, others) = rest.split(move |value| test(value));
            self.handles.insert(format!("{}.{number}", node.id), keyed(taken, moved));
            rest = others;
        }
        self.handles.insert(format!("{}.rest", node.id), keyed(rest, moved));
        Ok(())
    }

    fn fold(&mut self, node: &Node) -> Result<Handle, String> {
        let stream = self.stream(node, 0)?.stream;
        let first = given(&node.init, node, "init")?;
        let adds = given(&node.add, node, "add")?;
        let (add, combine) = (function::add(&adds)?, function::combine(&adds, &first));
        let init = move || first.clone();
        let add = move |so_far: &mut String, value: String| *so_far = add(so_far, &value);
        let name = &node.id;
        let Some(window) = &node.window else {
            return Ok(Handle::Table(stream.fold(name, init, add)));
        };
        let is_read = |id: &str| {
            self.case.topology.nodes.iter().any(|node| node.from.iter().any(|it| it == id))
        };
        let late_id = format!("{name}.late");
        let (has_late, emit) = (is_read(&late_id), given(&node.emit, node, "emit")?);
        let Window { kind, size_ms, advance_ms, gap_ms, span_ms, grace_ms, merge, n } = window;
        let grace = Duration::from_millis(*grace_ms);
        let (results, late) = match (kind.as_str(), emit.as_str()) {
            ("tumbling", _) => {
                let size = size_ms.ok_or("tumbling windows have a size")?;
                let windows = Tumbling::of(Duration::from_millis(size)).grace(grace);
                let table = stream.window(windows).fold(name, init, add);
                let late = has_late.then(|| table.late());
                (told(table, &emit)?.map(some), late)
            }
            ("hopping", _) => {
                let size = size_ms.ok_or("hopping windows have a size")?;
                let advance = advance_ms.ok_or("hopping windows advance")?;
                let windows = Hopping::of(Duration::from_millis(size))
                    .every(Duration::from_millis(advance))
                    .grace(grace);
                let mut table = stream.window(windows).fold(name, init, add);
                if let Some(combine) = combine {
                    table = table.combining(move |all, more| *all = combine(all, &more));
                }
                let late = has_late.then(|| table.late());
                (told(table, &emit)?.map(some), late)
            }
            ("sliding", _) => {
                let span = span_ms.ok_or("sliding windows have a span")?;
                let windows = Sliding::of(Duration::from_millis(span)).grace(grace);
                let table = stream.window(windows).fold(name, init, add);
                let late = has_late.then(|| table.late());
                (told(table, &emit)?.map(some), late)
            }
            ("count", _) => {
                let windows = CountWindows::of(n.ok_or("count windows have a size")?);
                let table = stream.window(windows).fold(name, init, add);
                let results = match emit.as_str() {
                    "update" => table.on_update(),
                    "close" => table.on_close(),
                    emit => table.every(every(emit)?),
                };
                (results.map(some), None)
            }
            ("session", _) => {
                let gap = gap_ms.ok_or("sessions have a gap")?;
                let merge = function::merge(merge.as_deref().ok_or("sessions merge")?)?;
                let merge = move |earlier: &mut String, later: String| {
                    *earlier = merge(earlier, &later)
                };
                let windows = Sessions::with_gap(Duration::from_millis(gap)).grace(grace);
                let table = stream.window(windows).fold(name, init, add, merge);
                let late = has_late.then(|| table.late());
                let results = match emit.as_str() {
                    "update" => table.on_update(),
                    "close" => table.on_close().map(some),
                    emit => table.every(every(emit)?),
                };
                (results, late)
            }
            (kind, emit) => return Err(format!("unknown window `{kind}`, emit `{emit}`")),
        };
        if let Some(late) = late {
            self.handles.insert(late_id, keyed(late, false));
        }
        Ok(Handle::Windows(results))
    }

    fn present(&self, node: &Node) -> Result<Handle, String> {
        Ok(match self.from(node, 0)? {
            Handle::Changes(changes) => keyed(changes.flat_map(|value| value), false),
            Handle::Windows(windows) => {
                Handle::Windows(windows.filter(|window| window.value.is_some()))
            }
            _ => return Err(format!("node `{}` has no removals to drop", node.id)),
        })
    }

    fn join(&self, node: &Node) -> Result<Handle, String> {
        let (left, right) = (self.stream(node, 0)?.stream, self.stream(node, 1)?.stream);
        let time = |time: Option<u64>, name: &str| {
            let time = time.ok_or_else(|| format!("node `{}` has no `{name}`", node.id));
            time.map(Duration::from_millis)
        };
        let within = Within::of(Duration::ZERO)
            .before(time(node.before_ms, "before_ms")?)
            .after(time(node.after_ms, "after_ms")?)
            .grace(time(node.grace_ms, "grace_ms")?);
        let name = &node.id;
        let joined = match node.kind.as_deref() {
            Some("inner") => left.join_within(name, right, within, |left, right| {
                function::pair(Some(left), Some(right))
            }),
            Some("left") => left.left_join_within(name, right, within, |left, right| {
                function::pair(Some(left), right.map(String::as_str))
            }),
            Some("outer") => left.outer_join_within(name, right, within, |left, right| {
                function::pair(left.map(String::as_str), right.map(String::as_str))
            }),
            kind => return Err(format!("unknown kind of join {kind:?}")),
        };
        Ok(keyed(joined, false))
    }

    fn join_table(&self, node: &Node) -> Result<Handle, String> {
        let Keyed { mut stream, moved } = self.stream(node, 0)?;
        let table = self.table(node, 1)?;
        if moved {
            stream = stream.repartition(&node.id);
        }
        let joined = match node.kind.as_deref() {
            Some("inner") => {
                stream.join(&table, |left, right| function::pair(Some(&left), Some(right)))
            }
            Some("left") => stream.left_join(&table, |left, right| {
                function::pair(Some(&left), right.map(String::as_str))
            }),
            kind => return Err(format!("unknown kind of join {kind:?}")),
        };
        Ok(keyed(joined, false))
    }

    fn join_as_of(&self, node: &Node) -> Result<Handle, String> {
        let stream = self.stream(node, 0)?.stream;
        let Handle::Versioned(table) = self.from(node, 1)? else {
            return Err(format!("node `{}` needs a versioned table", node.id));
        };
        let grace = node.grace_ms.ok_or_else(|| format!("node `{}` has no grace", node.id))?;
        let (name, grace) = (&node.id, Duration::from_millis(grace));
        let joined = match node.kind.as_deref() {
            Some("inner") => stream.join_as_of(name, &table, grace, |left, right| {
                function::pair(Some(&left), Some(right))
            }),
            Some("left") => stream.left_join_as_of(name, &table, grace, |left, right| {
                function::pair(Some(&left), right.map(String::as_str))
            }),
            kind => return Err(format!("unknown kind of join {kind:?}")),
        };
        Ok(keyed(joined, false))
    }

    fn global_table(&self, node: &Node) -> Result<Handle, String> {
        let topic = TEXT.named(given(&node.topic, node, "topic")?);
        Ok(Handle::Global(self.topology.global_table(&topic)))
    }

    fn join_global(&self, node: &Node) -> Result<Handle, String> {
        let Keyed { stream, moved } = self.stream(node, 0)?;
        let Handle::Global(table) = self.from(node, 1)? else {
            return Err(format!("node `{}` needs a global table", node.id));
        };
        let by = function::make_key(&given(&node.by, node, "by")?)?;
        let by = move |key: &String, value: &String| by(key, value);
        let joined = match node.kind.as_deref() {
            Some("inner") => stream.join_global(&table, by, |left, right| {
                function::pair(Some(&left), Some(right))
            }),
            Some("left") => stream.left_join_global(&table, by, |left, right| {
                function::pair(Some(&left), right.map(String::as_str))
            }),
            kind => return Err(format!("unknown kind of join {kind:?}")),
        };
        Ok(keyed(joined, moved))
    }

    fn table_group_fold(&self, node: &Node) -> Result<Handle, String> {
        let by = function::make_key(&given(&node.by, node, "by")?)?;
        let first = given(&node.init, node, "init")?;
        let add = function::add(&given(&node.add, node, "add")?)?;
        let subtract = function::subtract(&given(&node.subtract, node, "subtract")?)?;
        let groups = self.table(node, 0)?.group_by(move |value| {
            by("", value).expect("a table cannot be grouped by a null key")
        });
        Ok(Handle::Table(groups.fold(
            &node.id,
            move || first.clone(),
            move |so_far, value| *so_far = add(so_far, &value),
            move |so_far, value| *so_far = subtract(so_far, &value),
        )))
    }

    fn table_join(&self, node: &Node) -> Result<Handle, String> {
        let (left, right) = (self.table(node, 0)?, self.table(node, 1)?);
        match node.kind.as_deref() {
            Some("inner") => Ok(Handle::Table(
                left.join(&right, |left, right| function::pair(Some(left), Some(right))),
            )),
            Some("left") => Ok(Handle::Table(left.left_join(&right, |left, right| {
                function::pair(Some(left), right.map(String::as_str))
            }))),
            Some("outer") => Ok(Handle::Table(left.outer_join(&right, |left, right| {
                function::pair(left.map(String::as_str), right.map(String::as_str))
            }))),
            kind => Err(format!("unknown kind of table join {kind:?}")),
        }
    }

    fn foreign_key_join(&self, node: &Node) -> Result<Handle, String> {
        let (left, right) = (self.table(node, 0)?, self.table(node, 1)?);
        let by = function::make_key(&given(&node.by, node, "by")?)?;
        let by = move |value: &String| by("", value);
        match node.kind.as_deref() {
            Some("inner") => {
                Ok(Handle::Table(left.join_on(&node.id, &right, by, |left, right| {
                    function::pair(Some(left), Some(right))
                })))
            }
            Some("left") => {
                let pair = |left: &String, right: Option<&String>| {
                    function::pair(Some(left), right.map(String::as_str))
                };
                Ok(Handle::Table(left.left_join_on(&node.id, &right, by, pair)))
            }
            kind => Err(format!("unknown kind of foreign-key join {kind:?}")),
        }
    }

    fn to(&self, node: &Node) -> Result<(), String> {
        let name = given(&node.topic, node, "topic")?;
        match self.from(node, 0)? {
            Handle::Stream(Keyed { stream, .. }) => stream.to(&OUT.named(name)),
            Handle::Changes(changes) => changes.to(&CHANGES.named(name)),
            Handle::Windows(windows) => windows.to(&WINDOWS.named(name)),
            Handle::Unkeyed(_)
            | Handle::Table(_)
            | Handle::Versioned(_)
            | Handle::Global(_) => {
                return Err(format!("node `{}` writes neither stream nor changes", node.id));
            }
        }
        Ok(())
    }
}

/// The results of windows that are told when to speak.
fn told(
    table: WindowTable<String, String, String>,
    emit: &str,
) -> Result<Stream<String, InWindow<String>>, String> {
    Ok(match emit {
        "update" => table.on_update(),
        "close" => table.on_close(),
        emit => table.every(every(emit)?),
    })
}

fn every(emit: &str) -> Result<Duration, String> {
    let millis = emit.strip_prefix("every:").and_then(|millis| millis.parse().ok());
    millis.map(Duration::from_millis).ok_or_else(|| format!("unknown emit `{emit}`"))
}

fn some(window: InWindow<String>) -> Windowed {
    let InWindow { start, end, value } = window;
    InWindow { start, end, value: Some(value) }
}
