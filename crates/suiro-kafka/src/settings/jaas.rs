//! `sasl.jaas.config`, as Java's clients name user and password.

use std::collections::BTreeMap;
use suiro_core::{Error, Result};

/// What a text such as `...ScramLoginModule required username="alice" password="secret";` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

impl Login {
    /// No error names any part of the text: it holds a password.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut words = words(text)?.into_iter();
        let module = words.next().unwrap_or_default();
        let module = module.rsplit('.').next().unwrap_or_default();
        if !matches!(module, "PlainLoginModule" | "ScramLoginModule") {
            let text = "login module is not known; PlainLoginModule and ScramLoginModule are";
            return Err(Error::invalid(text).with("name", "sasl.jaas.config"));
        }
        let mut options = BTreeMap::new();
        // The first word is the flag, `required`, which means nothing where there is one module.
        for word in words.skip(1) {
            let (key, value) = word.split_once('=').ok_or_else(malformed)?;
            options.insert(key.to_owned(), value.to_owned());
        }
        let mut take = |key| options.remove(key).ok_or_else(malformed);
        Ok(Self { username: take("username")?, password: take("password")? })
    }
}

fn malformed() -> Error {
    let text = "login cannot be read; write \
                `org.apache.kafka.common.security.scram.ScramLoginModule required \
                username=\"..\" password=\"..\";`";
    Error::invalid(text).with("name", "sasl.jaas.config")
}

/// Words with spaces between, up to the semicolon; a quoted part may hold anything.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        let word = words.last_mut().ok_or_else(malformed)?;
        match (quote, next) {
            (Some(_), '\\') => word.push(chars.next().ok_or_else(malformed)?),
            (Some(open), next) if next == open => quote = None,
            (Some(_), next) => word.push(next),
            (None, '"' | '\'') => quote = Some(next),
            (None, ';') => {
                words.retain(|word| !word.is_empty());
                return Ok(words);
            }
            (None, next) if next.is_whitespace() => words.push(String::new()),
            (None, next) => word.push(next),
        }
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use super::Login;

    #[test]
    fn user_and_password_are_found() {
        for (text, username, password) in [
            (r#"a.b.ScramLoginModule required username="al" password="se";"#, "al", "se"),
            (
                r#"PlainLoginModule  required  password='p = "x";' username=al ;"#,
                "al",
                r#"p = "x";"#,
            ),
            (
                r#"PlainLoginModule required username="a" password="\"\\;" x="y";"#,
                "a",
                r#""\;"#,
            ),
        ] {
            let login = Login::parse(text).unwrap();
            assert_eq!(
                (login.username.as_str(), login.password.as_str()),
                (username, password)
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_shown() {
        for text in [
            r#"Krb5LoginModule required username="al" password="hush";"#,
            r#"PlainLoginModule required username="al" password="hush""#,
            r#"PlainLoginModule required username="al" password="hush;"#,
            r#"PlainLoginModule required username="al" "hush";"#,
            r#"PlainLoginModule required password="hush";"#,
            "hush",
            "",
        ] {
            let error = Login::parse(text).unwrap_err().report();
            assert!(error.contains("sasl.jaas.config") && !error.contains("hush"), "{error}");
        }
    }
}
