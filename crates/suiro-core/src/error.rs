//! Errors that say what to do.

use std::fmt;

/// A result whose error is [`Error`], unless it says otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words, and what to do about it, as a [`kind`](Error::kind).
///
/// Messages are lower case, carry their variables at the end as ``key=`value` ``, and never
/// repeat the text of their source.
///
/// ```
/// use suiro_core::{Error, ErrorKind};
///
/// let error = Error::invalid("topic does not exist").with("topic", "views");
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(error.to_string(), "topic does not exist topic=`views`");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the one who sees an [`Error`] should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Try again later: a full disk, a broker that is away, a time-out.
    Unavailable,
    /// Somebody newer does this work now: drop the task and join again.
    Fenced,
    /// A human must act: the program, the settings or the input is wrong.
    Invalid,
    /// Stop: stored data is damaged, or an invariant is broken.
    Corrupt,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Short for [`Error::new`] with [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Short for [`Error::new`] with [`ErrorKind::Fenced`].
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, message)
    }

    /// Short for [`Error::new`] with [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Short for [`Error::new`] with [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Adds a variable to the end of the message.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        use fmt::Write;
        write!(self.message, " {key}=`{value}`").expect("writing to a string does not fail");
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message followed by the messages of all causes, for a log line or a terminal.
    ///
    /// ```
    /// use suiro_core::Error;
    ///
    /// let cause = Error::invalid("key is not utf-8");
    /// let error = Error::invalid("cannot decode record").with("offset", 7).caused_by(cause);
    /// assert_eq!(error.report(), "cannot decode record offset=`7`: key is not utf-8");
    /// ```
    pub fn report(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text += ": ";
            text += &error.to_string();
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
