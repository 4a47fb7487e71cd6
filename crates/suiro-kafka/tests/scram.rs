//! SCRAM against the example of RFC 7677, against a broker written from RFC 5802, and against brokers
//! that are not what they should be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::{Digest, Sha256, Sha512};
use suiro_core::ErrorKind;
use suiro_kafka::scram::{Mechanism, Scram};

/// The client's nonce in the example of RFC 7677, section 3.
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const ANSWER: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn begun(mechanism: Mechanism) -> Scram {
    let nonce = STANDARD.decode(NONCE).expect("the example is base64");
    Scram::new(mechanism, "user", "pencil", &nonce)
}

/// The last message and the signature that are expected of the example's first answer.
fn check(mechanism: Mechanism, proof: &str, signature: &str) {
    let scram = begun(mechanism);
    assert_eq!(scram.first_message(), format!("n,,n=user,r={NONCE}").as_bytes());
    let (message, verifier) = scram.answer(ANSWER.as_bytes()).expect("the example is right");
    let expected = format!("c=biws,r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
    assert_eq!(String::from_utf8_lossy(&message), expected);
    verifier.verify(format!("v={signature}").as_bytes()).expect("the signature is right");
}

#[test]
fn the_example_of_rfc_7677() {
    check(
        Mechanism::Sha256,
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

/// The same exchange with the other hash, computed with Python's hashlib.
#[test]
fn the_example_with_sha_512() {
    check(
        Mechanism::Sha512,
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    );
}

#[test]
fn a_user_may_have_any_name() {
    let scram = Scram::new(Mechanism::Sha256, "a=b,c=3D é", "x", b"");
    assert_eq!(String::from_utf8_lossy(&scram.first_message()), "n,,n=a=3Db=2Cc=3D3D é,r=");
}

#[test]
fn answers_that_are_none_are_refused() {
    let refused = |answer: &[u8]| {
        let error = begun(Mechanism::Sha256).answer(answer).map(|(message, _)| message);
        let error = error.expect_err(&String::from_utf8_lossy(answer));
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let changed = |what: &str, by: &str| {
        assert!(ANSWER.contains(what));
        refused(ANSWER.replace(what, by).as_bytes())
    };
    for (what, by, part) in [
        ("r=", "m=1,r=", "part=`r`"),
        ("s=", "t=", "part=`s`"),
        ("s=W22Z", "s=W2!Z", "part=`salt`"),
        (",i=4096", "", "part=`i`"),
        ("i=4096", "i=many", "part=`iterations`"),
        ("i=4096", "i=+4096", "part=`iterations`"),
        ("i=4096", "i=4294967296", "part=`iterations`"),
        ("i=4096", "i=4095", "iterations=`4095`"),
        ("i=4096", "i=1000001", "iterations=`1000001`"),
        ("r=rO", "r=ro", "another exchange"),
        ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", "another exchange"),
    ] {
        let error = changed(what, by);
        assert!(error.contains(part), "{by}: {error}");
    }
    for nothing in [&b""[..], b"HTTP/1.1 400 Bad Request", b"\xff\xfe"] {
        assert!(refused(nothing).contains("not one of scram"));
    }
    // What a later version may add stands behind.
    assert!(begun(Mechanism::Sha256).answer(format!("{ANSWER},x=y").as_bytes()).is_ok());
}

#[test]
fn a_broker_that_does_not_prove_itself_is_refused() {
    let verify = |mechanism, answer: &str| {
        let (_, verifier) = begun(mechanism).answer(ANSWER.as_bytes()).expect("a right answer");
        verifier.verify(answer.as_bytes())
    };
    let signature = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert!(verify(Mechanism::Sha256, signature).is_ok());
    assert!(verify(Mechanism::Sha256, &format!("{signature},x=y")).is_ok());
    for (mechanism, answer, part) in [
        (Mechanism::Sha512, signature, "impostor"),
        (Mechanism::Sha256, &signature.replace('6', "7"), "impostor"),
        (Mechanism::Sha256, "v=", "impostor"),
        (Mechanism::Sha256, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsg==", "impostor"),
        (Mechanism::Sha256, "v=6rri!", "part=`signature`"),
        (Mechanism::Sha256, "", "part=`v`"),
        (Mechanism::Sha256, "e=invalid-proof", "reason=`invalid-proof`"),
    ] {
        let error = verify(mechanism, answer).expect_err(answer);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{answer}: {error}");
    }
}

/// A broker that has kept what RFC 5802 lets it keep, which is not the password: it takes the client's
/// key out of the proof, and knows it by its hash. Gives its last message, if the proof is good.
fn broker<H: Digest + EagerHash>(
    password: &str,
    salt: &[u8],
    exchange: &str,
    proof: &[u8],
) -> Option<String> {
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<H>::new_from_slice(key).expect("a key of any length");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    };
    // Hi of RFC 5802: one block, round by round.
    let mut round = mac(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
    let mut salted = round.clone();
    for _ in 1..4096 {
        round = mac(password.as_bytes(), &round);
        salted.iter_mut().zip(&round).for_each(|(sum, byte)| *sum ^= byte);
    }
    let stored = H::digest(mac(&salted, b"Client Key"));
    let signature = mac(&stored, exchange.as_bytes());
    let key: Vec<_> = proof.iter().zip(signature).map(|(byte, other)| byte ^ other).collect();
    let good = H::digest(&key) == stored;
    let own = mac(&mac(&salted, b"Server Key"), exchange.as_bytes());
    good.then(|| format!("v={}", STANDARD.encode(own)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn who_knows_the_password_is_let_in_and_nobody_else(
        user in ".{1,20}",
        [password, other] in ["[^\0]{0,80}", "[^\0]{0,80}"],
        salt in prop::collection::vec(any::<u8>(), 1..40),
        nonce in prop::collection::vec(any::<u8>(), 18..30),
        mechanism in prop::sample::select(vec![Mechanism::Sha256, Mechanism::Sha512]),
    ) {
        for kept in [&password, &other] {
            let scram = Scram::new(mechanism, &user, &password, &nonce);
            let first = String::from_utf8(scram.first_message())?;
            let bare = first.strip_prefix("n,,").expect("the header");
            let nonce = bare.rsplit_once(",r=").expect("a nonce").1;
            let answer = format!("r={nonce}+broker,s={},i=4096", STANDARD.encode(&salt));
            let (message, verifier) = scram.answer(answer.as_bytes())?;
            let message = String::from_utf8(message)?;
            let (last, proof) = message.split_once(",p=").expect("a proof");
            let proof = STANDARD.decode(proof)?;
            let exchange = format!("{bare},{answer},{last}");
            let broker = match mechanism {
                Mechanism::Sha256 => broker::<Sha256>,
                Mechanism::Sha512 => broker::<Sha512>,
            };
            let end = broker(kept, &salt, &exchange, &proof);
            prop_assert_eq!(end.is_some(), *kept == password);
            if let Some(end) = end {
                prop_assert!(verifier.verify(end.as_bytes()).is_ok());
            }
        }
    }
}
