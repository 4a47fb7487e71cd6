//! The functions that cases name: on values, for keys, as predicates, in folds.

use std::sync::Arc;

/// A function on values.
pub type Change = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// A predicate on values.
pub type Test = Arc<dyn Fn(&str) -> bool + Send + Sync>;
/// A function of the old key and the value, that may find no key.
pub type MakeKey = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;
/// A function of the state so far and the next value.
pub type Combine = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

fn parts(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, ""))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn integer(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("the fold got `{text}`, which is no integer"))
}

/// A value function by its name.
pub fn change(name: &str) -> Result<Change, String> {
    let (kind, with) = parts(name);
    let with = with.to_owned();
    Ok(match kind {
        "upper" => Arc::new(|value| value.to_uppercase()),
        "append" => Arc::new(move |value| format!("{value}{with}")),
        "prepend" => Arc::new(move |value| format!("{with}{value}")),
        "field" => {
            let index: usize = number(&with)?;
            Arc::new(move |value| value.split('|').nth(index).unwrap_or("").to_owned())
        }
        _ => return Err(format!("unknown value function `{name}`")),
    })
}

/// What `flat_map` splits values at.
pub fn splitter(name: &str) -> Result<String, String> {
    match parts(name) {
        ("split", at) if !at.is_empty() => Ok(at.to_owned()),
        _ => Err(format!("unknown function of flat_map `{name}`")),
    }
}

/// A key function by its name.
pub fn make_key(name: &str) -> Result<MakeKey, String> {
    let (kind, with) = parts(name);
    let with = with.to_owned();
    Ok(match kind {
        "value_prefix" => {
            let count: usize = number(&with)?;
            Arc::new(move |_, value| Some(value.chars().take(count).collect()))
        }
        "const" => Arc::new(move |_, _| Some(with.clone())),
        "value" => Arc::new(|_, value| Some(value.to_owned())),
        "key" => Arc::new(|key, _| Some(key.to_owned())),
        "field" => {
            let index: usize = number(&with)?;
            let field = move |value: &str| value.split('|').nth(index).map(str::to_owned);
            Arc::new(move |_, value| field(value).filter(|field| !field.is_empty()))
        }
        _ => return Err(format!("unknown key function `{name}`")),
    })
}

/// A predicate by its name.
pub fn test(name: &str) -> Result<Test, String> {
    let (kind, with) = parts(name);
    let with = with.to_owned();
    Ok(match kind {
        "contains" => Arc::new(move |value| value.contains(&with)),
        "lacks" => Arc::new(move |value| !value.contains(&with)),
        "longer_than" => {
            let count: usize = number(&with)?;
            Arc::new(move |value| value.chars().count() > count)
        }
        _ => return Err(format!("unknown predicate `{name}`")),
    })
}

/// A fold's function by its name.
pub fn add(name: &str) -> Result<Combine, String> {
    Ok(match name {
        "concat" => Arc::new(|so_far, value| format!("{so_far}+{value}")),
        "glue" => Arc::new(|so_far, value| format!("{so_far}{value}")),
        "sum" => Arc::new(|so_far, value| (integer(so_far) + integer(value)).to_string()),
        "count" => Arc::new(|so_far, _| (integer(so_far) + 1).to_string()),
        _ => return Err(format!("unknown function of a fold `{name}`")),
    })
}

/// What takes a value out of a fold again, by its name.
pub fn subtract(name: &str) -> Result<Combine, String> {
    Ok(match name {
        "strike" => Arc::new(|so_far, value| format!("{so_far}-{value}")),
        "difference" => {
            Arc::new(|so_far, value| (integer(so_far) - integer(value)).to_string())
        }
        "uncount" => Arc::new(|so_far, _| (integer(so_far) - 1).to_string()),
        _ => return Err(format!("unknown subtraction of a fold `{name}`")),
    })
}

/// A session's merge by its name.
pub fn merge(name: &str) -> Result<Combine, String> {
    match name {
        "glue" | "sum" => add(name),
        _ => Err(format!("unknown merge `{name}`")),
    }
}

/// What puts together the states of two parts of a window, for a fold by its name that begins with
/// `init`; none if it depends on the order.
pub fn combine(name: &str, init: &str) -> Option<Combine> {
    let first: i64 = init.parse().ok()?;
    matches!(name, "sum" | "count").then(|| -> Combine {
        Arc::new(move |left, right| (integer(left) + integer(right) - first).to_string())
    })
}

/// What every join makes of its sides.
pub fn pair(left: Option<&str>, right: Option<&str>) -> String {
    format!("{}-{}", left.unwrap_or("null"), right.unwrap_or("null"))
}
