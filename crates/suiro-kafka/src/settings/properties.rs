//! The format of Java's properties: lines, continued lines, and what a backslash means.

use suiro_core::{Error, Result};

/// The pairs of name and value in a text, in its order.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.trim_end().is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while is_continued(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole += next.trim_start();
        }
        // The line itself may hold a password.
        let Some((name, value)) = whole.split_once('=') else {
            let text = "line of properties has no `=`";
            return Err(Error::invalid(text).with("line", index + 1));
        };
        pairs.push((plain(name.trim()), plain(value.trim())));
    }
    Ok(pairs)
}

/// An odd number of backslashes at the end: the next line belongs to it.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The text that is meant, without its backslashes.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pairs;

    fn parsed(text: &str) -> Vec<(String, String)> {
        pairs(text).unwrap()
    }

    #[test]
    fn lines_go_on_behind_a_backslash() {
        let all = parsed("a = one \\\n   two \\\n   three\n# no\n! no\n\nb=4\\\\\nc=5\\");
        let expected = [("a", "one two three"), ("b", "4\\"), ("c", "5")];
        assert_eq!(all, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn a_backslash_stands_for_what_java_means() {
        let all = parsed(r"pem=BEGIN\nline\tend\r\f \u00e4 \= \\ \q");
        assert_eq!(all[0].1, "BEGIN\nline\tend\r\u{c} ä = \\ q");
    }

    #[test]
    fn what_is_no_setting_is_named_by_its_line() {
        let error = pairs("a=1\nsecret").unwrap_err().to_string();
        assert_eq!(error, "line of properties has no `=` line=`2`");
    }
}
