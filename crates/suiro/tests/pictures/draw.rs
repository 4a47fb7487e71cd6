//! Time-lines as SVG.

use std::fmt::Write;
use std::path::PathBuf;

/// Something at a time.
#[derive(Clone)]
pub struct Mark {
    pub at: i64,
    pub text: String,
}

/// A stretch of time with a name.
pub struct Span {
    from: i64,
    to: i64,
    name: &'static str,
}

impl Span {
    pub fn new(from: i64, to: i64, name: &'static str) -> Self {
        Self { from, to, name }
    }
}

pub struct Picture<'a> {
    /// The topics, each with what is in it: first the inputs.
    pub lanes: Vec<(&'a str, Vec<Mark>)>,
    pub inputs: usize,
    pub spans: &'a [Span],
}

/// Where lanes begin, how wide a millisecond is, how high a line of text.
const LEFT: i64 = 90;
const UNIT: i64 = 26;
const LINE: i64 = 18;
const BLUE: &str = "#2563a8";
const GREEN: &str = "#1f7a4d";

/// The directory of the guide.
pub fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn x(at: i64) -> i64 {
    LEFT + at * UNIT
}

impl Picture<'_> {
    /// Holds the picture against the file of that name, or makes it.
    pub fn hold(&self, name: &str) {
        let file = docs().join("pictures").join(format!("{name}.svg"));
        let drawn = self.draw();
        if std::env::var_os("SUIRO_DRAW").is_some() {
            std::fs::write(&file, &drawn).expect("the picture can be written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == drawn, "{name}.svg shows something else; draw it with SUIRO_DRAW=1");
    }

    /// Draws the stretches, one below the other where they overlap; gives how many lines they take.
    fn stretches(&self, body: &mut String, y: i64) -> i64 {
        let mut ends: Vec<i64> = Vec::new();
        for span in self.spans {
            let free = ends.iter().position(|end| *end <= span.from);
            let line = free.unwrap_or_else(|| {
                ends.push(0);
                ends.len() - 1
            });
            ends[line] = span.to;
            stretch(body, span, y + line as i64 * LINE);
        }
        ends.len() as i64
    }

    fn draw(&self) -> String {
        let marks = self.lanes.iter().flat_map(|(_, marks)| marks);
        let ends = marks.map(|mark| mark.at).chain(self.spans.iter().map(|span| span.to));
        let last = ends.max().unwrap_or(0) + 1;
        let mut body = String::new();
        let mut y = 12;
        if !self.spans.is_empty() {
            y += self.stretches(&mut body, y) * LINE + LINE;
        }
        for (number, (topic, marks)) in self.lanes.iter().enumerate() {
            let color = if number < self.inputs { BLUE } else { GREEN };
            y = lane(&mut body, y, (topic, marks), color, last);
        }
        axis(&mut body, y, last);
        let (width, height) = (x(last) + 150, y + 2 * LINE);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}

fn stretch(body: &mut String, span: &Span, y: i64) {
    let (left, width) = (x(span.from), (span.to - span.from) * UNIT);
    put(
        body,
        format_args!(
            "<rect x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{LINE}\" fill=\"#f4e3c1\" \
         stroke=\"#b58a3c\"/>"
        ),
    );
    text(body, left + 5, y + 13, "#6b4e16", span.name);
}

/// Draws a topic; each mark has a line of its own where it would stand in another's way.
fn lane(
    body: &mut String,
    y: i64,
    (topic, marks): (&str, &[Mark]),
    color: &str,
    last: i64,
) -> i64 {
    text(body, 8, y + 13, color, topic);
    let (mut row, mut free) = (0, 0);
    for mark in marks {
        if x(mark.at) < free {
            row += 1;
        }
        let middle = y + 9 + row * LINE;
        put(
            body,
            format_args!(
                "<circle cx=\"{}\" cy=\"{middle}\" r=\"4\" fill=\"{color}\"/>",
                x(mark.at)
            ),
        );
        text(body, x(mark.at) + 7, middle + 4, "#222222", &mark.text);
        free = x(mark.at) + 14 + 7 * mark.text.len() as i64;
    }
    let bottom = y + (row + 1) * LINE + 6;
    put(
        body,
        format_args!(
            "<line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>",
            x(last)
        ),
    );
    bottom + 6
}

fn axis(body: &mut String, y: i64, last: i64) {
    for at in 0..=last {
        put(
            body,
            format_args!(
                "<line x1=\"{0}\" y1=\"{y}\" x2=\"{0}\" y2=\"{1}\" stroke=\"#888888\"/>",
                x(at),
                y + 4
            ),
        );
        if at % 5 == 0 {
            text(body, x(at) - 4, y + 18, "#555555", &at.to_string());
        }
    }
    text(body, x(last) + 12, y + 18, "#555555", "event time, ms");
}

fn text(body: &mut String, x: i64, y: i64, color: &str, words: &str) {
    put(body, format_args!("<text x=\"{x}\" y=\"{y}\" fill=\"{color}\">{words}</text>"));
}

fn put(body: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(body, "{line}").expect("writing to a string cannot fail");
}
