//! Topics whose keys or values have no such format.

use suiro::{Integer, Json, Raw, Text, Topic};

struct View;

struct Csv;

const WORDS: Topic<String, String> = Topic::of("words", &Text, &Integer);
const VIEWS: Topic<u32, View> = Topic::of("views", &Integer, &Json);
const LINES: Topic<u32, String> = Topic::of("lines", &Integer, &Csv);
const BYTES: Topic<u32, u64> = Topic::of("bytes", &Raw, &Integer);

fn main() {
    let _ = (WORDS, VIEWS, LINES, BYTES);
}
