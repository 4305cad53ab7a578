//! Chains and keys, and what is wrong with them.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tls::{Identity, Input, ShownTo};

use crate::common::{AUTHORITY, Authority, ISSUED, Issued};

const DAY: u64 = 86_400;

fn error(chain: &str, key: &str) -> (Input, String) {
    let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    (error.input, error.to_string())
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let other = AUTHORITY.issue(&["b.example"]);
    let (input, sentence) = error(&ISSUED.chain, &other.key);
    assert_eq!(input, Input::Key);
    assert_eq!(sentence, "The private key does not belong to the certificate for a.example.");
}

#[test]
fn missing_and_broken_parts_are_named() {
    let (input, sentence) = error("", &ISSUED.key);
    assert_eq!(input, Input::Certificate);
    assert!(sentence.contains("no certificate"), "{sentence}");
    let (input, sentence) = error(&ISSUED.chain, &ISSUED.chain);
    assert_eq!(input, Input::Key);
    assert!(sentence.contains("no private key"), "{sentence}");
    let (_, sentence) =
        error(&ISSUED.chain, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert!(sentence.contains("encrypted") && sentence.contains("openssl pkey"), "{sentence}");
    let (input, sentence) = error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &ISSUED.key);
    assert_eq!(
        (input, sentence.as_str()),
        (
            Input::Certificate,
            "Certificate 1 of the chain cannot be read: it is damaged, or no certificate. Put it in again from where it was issued."
        )
    );
    let (_, sentence) = error(&ISSUED.chain.replace("-----END CERTIFICATE-----", ""), &ISSUED.key);
    let cut = "It ends before \"-----END CERTIFICATE-----\": it was cut short, or is still being written. Put the whole file there.";
    assert_eq!(sentence, cut);
    for left in [ISSUED.chain.len() - 2, ISSUED.chain.len() / 2, 40] {
        assert_eq!(error(&ISSUED.chain[..left], &ISSUED.key), (Input::Certificate, cut.to_owned()), "{left}");
    }
    let (_, sentence) = error(&ISSUED.chain.replacen("MI", "..", 1), &ISSUED.key);
    assert!(sentence.contains("is no base64: it is damaged"), "{sentence}");
    let (_, sentence) = error(&ISSUED.chain.replace("CERTIFICATE-----\nMI", "CERTIFICATE--\nMI"), &ISSUED.key);
    assert!(sentence.contains("begins with \"-----BEGIN CERTIFICATE--\", which is no line of PEM"), "{sentence}");
    let (input, _) = error(&ISSUED.chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_eq!(input, Input::Key);
}

/// A key that has lost its line ends is one line, and the parser gives the whole of it back as a label or as the line that is wrong.
#[test]
fn no_byte_of_a_key_gets_into_a_sentence() {
    let (key, base64) = (ISSUED.key.trim_end(), ISSUED.key.lines().nth(1).unwrap());
    let lines = |between: &str| key.lines().collect::<Vec<_>>().join(between);
    let says_nothing = |text: &str| {
        let (input, sentence) = error(&ISSUED.chain, text);
        assert_eq!(input, Input::Key);
        // Eight characters of it in a row stand in no sentence of ours.
        let leaks = base64.as_bytes().windows(8).any(|part| sentence.as_bytes().windows(8).any(|said| said == part));
        assert!(!leaks, "{sentence}");
        sentence
    };
    let lost = "The line of \"-----BEGIN PRIVATE KEY-----\" has more in it than that: the file has lost its line ends, as happens in a \
                variable or a form. BEGIN, the base64 and END need lines of their own (\"\\n\" in letters ends none). Put the file \
                there as it was issued.";
    for between in ["", " ", "\\n", "\\r\\n"] {
        for end in ["", " ", "\n", "\\n", "\"", "\\n\"\n", "-"] {
            assert_eq!(says_nothing(&format!("{}{end}", lines(between))), lost, "{between:?} {end:?}");
        }
    }
    // The first line end alone, and labels that are none.
    assert_eq!(says_nothing(&key.replacen("-----\n", "-----", 1)), lost);
    assert_eq!(says_nothing(&key.replacen("-----\n", "", 1)), lost);
    assert!(
        says_nothing(&lines("").replacen("PRIVATE KEY", "", 1))
            .starts_with("The line of \"-----BEGIN\" has more in it")
    );
    assert!(says_nothing(&format!("-----BEGIN {base64}-----\n")).starts_with("It ends within a part that has begun"));
    assert!(says_nothing(&format!("-----BEGIN {base64}\n")).starts_with("The line of \"-----BEGIN\" has more in it"));
    for behind_something in [format!("\"{}\"", lines("\\n")), lines("\n  ").replacen("-----", "  -----", 1)] {
        assert!(says_nothing(&behind_something).starts_with("The private key in it does not begin its line."));
    }
    // An END that sticks to the base64 before it is no file that was cut.
    let stuck = "An \"-----END\" in it does not begin its line. BEGIN, the base64 and END need lines of their own. Put the file there as it \
                 was issued.";
    for between in ["", " ", "\\n"] {
        assert_eq!(says_nothing(&key.replace("\n-----END", &format!("{between}-----END"))), stuck);
    }
    let certificate = ISSUED.chain.replace("\n-----END", "-----END");
    for chain in [certificate.clone(), certificate + &ISSUED.chain] {
        assert_eq!(error(&chain, key), (Input::Certificate, stuck.to_owned()));
    }
    // Where a certificate is expected it is no other.
    let (input, sentence) = error(&lines(" "), &ISSUED.key);
    assert_eq!((input, sentence.as_str()), (Input::Certificate, lost));
}

#[test]
fn one_file_may_hold_both() {
    let both = format!("{}{}", ISSUED.key, ISSUED.chain);
    let identity = Identity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
    assert_eq!(identity.certificate().title(), "a.example");
}

/// A leaf below an intermediate, which is below the authority.
fn chained() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let middle = params.signed_by(&key, &AUTHORITY.issuer).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["c.example".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap().pem();
    (leaf, middle, leaf_key.serialize_pem())
}

#[test]
fn the_order_of_a_chain_is_checked() {
    let (leaf, middle, key) = chained();
    assert!(Identity::from_pem(format!("{leaf}{middle}{}", AUTHORITY.pem).as_bytes(), key.as_bytes()).is_ok());
    let (_, sentence) = error(&format!("{middle}{leaf}"), &key);
    assert_eq!(sentence, "The private key belongs to certificate 2 of the chain (c.example), which must stand first.");
    let (_, sentence) = error(&format!("{leaf}{}{middle}", AUTHORITY.pem), &key);
    assert!(sentence.starts_with("The chain is out of order: certificate 1 (c.example) was issued by "), "{sentence}");
    assert!(sentence.contains("CN=Middle") && sentence.contains("CN=Test Authority"), "{sentence}");
}

#[test]
fn expiry_warns() {
    let issued: Issued = AUTHORITY.issue_with(&["a.example"], KeyPair::generate().unwrap(), |params| {
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2025, 6, 1);
    });
    let identity = issued.identity();
    let (from, until) = (identity.certificate().not_before, identity.certificate().not_after);
    assert!(identity.warnings(until - 40 * DAY, ShownTo::Clients).is_empty());
    assert_eq!(
        identity.warnings(until - 7 * DAY, ShownTo::Clients),
        ["The certificate for a.example expires on 2025-06-01 (7 days)."]
    );
    let said = "The certificate for a.example expires on 2025-06-01 (1 day).";
    assert_eq!(identity.warnings(until - DAY, ShownTo::Servers), [said]);
    let said = "The certificate for a.example expires on 2025-06-01 (less than a day).";
    assert_eq!(identity.warnings(until - DAY + 1, ShownTo::Servers), [said]);
    for (to, refuse) in [(ShownTo::Clients, "clients"), (ShownTo::Servers, "servers")] {
        let said = format!("The certificate for a.example expired on 2025-06-01: {refuse} will refuse it. Replace it.");
        assert_eq!(identity.warnings(until + DAY, to), [said]);
    }
    assert!(identity.warnings(from - DAY, ShownTo::Clients)[0].contains("valid from 2025-01-01"));
    let nameless = AUTHORITY.issue(&[]).identity();
    let begun = nameless.certificate().not_before + DAY;
    assert!(nameless.warnings(begun, ShownTo::Clients)[0].contains("names no host"));
    assert!(nameless.warnings(begun, ShownTo::Servers).is_empty(), "servers go by its subject");
}

#[test]
fn what_is_wrong_with_the_issuers_is_said() {
    const DAY_2026: u64 = 1_767_225_600;
    let serial = rcgen::SerialNumber::from(1);
    let with = |above: &str, issuer: &Authority| {
        let mut issued = issuer.issue(&["a.example"]);
        issued.chain.push_str(above);
        issued.identity()
    };
    let (middle, pem) = AUTHORITY.authority_with("Middle", &serial, |_| {});
    let good = with(&pem, &middle);
    assert!(good.warnings(DAY_2026, ShownTo::Clients).is_empty(), "{:?}", good.warnings(DAY_2026, ShownTo::Clients));
    assert_eq!(good.not_after(), good.certificate().not_after);
    // Another of the same name, as after a change of its key.
    let (_, same_name) = AUTHORITY.authority_with("Middle", &serial, |_| {});
    let warnings = with(&same_name, &middle).warnings(DAY_2026, ShownTo::Clients);
    let said = "Certificate 2 of the chain for a.example (CN=Middle) has not signed the one before it";
    assert!(warnings.len() == 1 && warnings[0].starts_with(said), "{warnings:?}");
    let (middle, pem) = AUTHORITY.authority_with("Middle", &serial, |params| {
        params.not_after = rcgen::date_time_ymd(2026, 1, 11);
    });
    let ending = with(&pem, &middle);
    assert_eq!((ending.not_after(), ending.days_left(DAY_2026)), (DAY_2026 + 10 * DAY, 10));
    let which = "Certificate 2 of the chain for a.example (CN=Middle)";
    assert_eq!(ending.warnings(DAY_2026, ShownTo::Clients), [format!("{which} expires on 2026-01-11 (10 days).")]);
    let over = format!("{which} expired on 2026-01-11: clients may refuse the chain. Replace it.");
    assert_eq!(ending.warnings(DAY_2026 + 11 * DAY, ShownTo::Clients), [over]);
    // Of a root in the chain clients have their own.
    let root = with(&AUTHORITY.pem, &AUTHORITY);
    assert!(root.warnings(DAY_2026, ShownTo::Clients).is_empty());
}
