//! Wrong programs do not compile, and the compiler says why in our words.

#[test]
fn wrong_programs_are_refused_in_our_words() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
