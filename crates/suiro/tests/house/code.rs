//! Rust text without its comments and the insides of its literals.

/// Replaces comments and the insides of strings and characters by spaces. Lines stay where
/// they are.
pub fn strip(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
        if end > at {
            out.extend(chars[at..end].iter().map(blank));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1);
    match chars[at] {
        '/' if next == Some(&'/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next == Some(&'*') => block_comment(chars, at),
        '"' => string(chars, at + 1),
        '\'' => character(chars, at),
        'r' if begins_word(chars, at) => raw_string(chars, at),
        'b' | 'c' if begins_word(chars, at) && next == Some(&'r') => {
            let end = raw_string(chars, at + 1);
            if end == at + 1 { at } else { end }
        }
        _ => at,
    }
}

fn begins_word(chars: &[char], at: usize) -> bool {
    at == 0 || !is_word(chars[at - 1])
}

/// Whether `c` can be part of a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, is: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| is(&chars[*at..])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A character literal ends after one character or one escape; a lifetime has no end.
fn character(chars: &[char], at: usize) -> usize {
    match chars.get(at + 1) {
        Some('\\') => (find(chars, at + 3, |rest| rest[0] == '\'') + 1).min(chars.len()),
        Some(_) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (find(chars, open + 1, closes) + 1 + hashes).min(chars.len())
}

/// Where `word` stands in `line`, not as a part of a longer name.
pub fn find_word(line: &str, word: &str) -> Option<usize> {
    let before = |at: usize| !line[..at].chars().next_back().is_some_and(is_word);
    let after = |at: usize| !line[at + word.len()..].chars().next().is_some_and(is_word);
    let (open, close) = (word.starts_with(is_word), word.ends_with(is_word));
    line.match_indices(word)
        .map(|(at, _)| at)
        .find(|at| (!open || before(*at)) && (!close || after(*at)))
}

#[cfg(test)]
mod tests {
    use super::{find_word, strip};

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y") + z"#, "f(      ) + z"),
            ("'\"' + x + '\\'' + '\\u{1f}'", "    + x +      +         "),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#\"a\"b\"# + br\"c\" + bar\"d\"", "         +       + bar   "),
            ("r#type + var", "r#type + var"),
            ("\"a\nb\" c", "  \n   c"),
            ("\"open", "     "),
        ] {
            assert_eq!(strip(text).trim_end(), code.trim_end(), "{text}");
            assert_eq!(strip(text).lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(find_word("let operand::x", "rand::"), None);
        assert_eq!(find_word("use rand::x", "rand::"), Some(4));
        assert_eq!(find_word("SystemTimes, SystemTime", "SystemTime"), Some(13));
    }
}
