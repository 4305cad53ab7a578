//! Which certificate is shown to whom.

use rcgen::KeyPair;
use tls::{Certificate, ClientConfig, ClientOptions, Identity, ServerConfig, ServerOptions};

use crate::common::{AUTHORITY, Issued, Pair, client_options};

fn shown(server: &ServerConfig, client: ClientOptions, name: &str) -> Vec<String> {
    let mut pair = Pair::new(&ClientConfig::new(client).unwrap(), server, name);
    pair.shake(usize::MAX).unwrap();
    Certificate::read(&pair.client.peer_certificates().unwrap()[0]).unwrap().names
}

#[test]
fn one_of_a_thousand_is_chosen_by_its_name() {
    // One key for all: making a thousand would be the longest part of the test.
    let key = KeyPair::generate().unwrap().serialize_pem();
    let issue = |names: &[&str]| AUTHORITY.issue_with(names, KeyPair::from_pem(&key).unwrap(), |_| {}).identity();
    let mut identities: Vec<Identity> =
        (0..1000).map(|i| issue(&[&format!("host{i}.example"), &format!("alias{i}.example")])).collect();
    identities.push(issue(&["*.sub.example"]));
    identities.push(issue(&["*.deep.example", "deep.example"]));
    let server = ServerConfig::new(ServerOptions { identities, ..ServerOptions::default() }).unwrap();
    for i in [0, 1, 500, 999] {
        let expected = [format!("host{i}.example"), format!("alias{i}.example")];
        assert_eq!(shown(&server, client_options(), &expected[0]), expected);
        assert_eq!(shown(&server, client_options(), &expected[1].to_uppercase()), expected);
    }
    assert_eq!(shown(&server, client_options(), "other.sub.example"), ["*.sub.example"]);
    assert_eq!(shown(&server, client_options(), "a.deep.example"), ["*.deep.example", "deep.example"]);
    assert_eq!(shown(&server, client_options(), "deep.example"), ["*.deep.example", "deep.example"]);
    // A wildcard stands for one label; what nobody names gets the first.
    let anybody = ClientOptions::insecure_without_verification;
    assert_eq!(shown(&server, anybody(), "x.a.deep.example")[0], "host0.example");
    assert_eq!(shown(&server, anybody(), "elsewhere.test")[0], "host0.example");
    assert_eq!(shown(&server, anybody(), "127.0.0.1")[0], "host0.example");
}

#[test]
fn ecdsa_stands_before_rsa_for_one_name() {
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa: Issued = AUTHORITY.issue_with(&["a.example"], rsa, |_| {});
    let ecdsa = AUTHORITY.issue(&["a.example"]);
    let (rsa, ecdsa) = (rsa.identity(), ecdsa.identity());
    for identities in [vec![rsa.clone(), ecdsa.clone()], vec![ecdsa.clone(), rsa.clone()]] {
        let server = ServerConfig::new(ServerOptions { identities, ..ServerOptions::default() }).unwrap();
        let mut pair = Pair::new(&ClientConfig::new(client_options()).unwrap(), &server, "a.example");
        pair.shake(usize::MAX).unwrap();
        let shown = Certificate::read(&pair.client.peer_certificates().unwrap()[0]).unwrap();
        assert_eq!(shown.serial, ecdsa.certificate().serial);
    }
    // RSA alone serves as well.
    let server = ServerConfig::new(ServerOptions { identities: vec![rsa], ..ServerOptions::default() }).unwrap();
    assert_eq!(shown(&server, client_options(), "a.example"), ["a.example"]);
}

#[test]
fn a_certificate_whose_names_are_taken_is_named() {
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa = AUTHORITY.issue_with(&["a.example"], rsa, |_| {}).identity();
    let issued = |names: &[&str]| AUTHORITY.issue(names).identity();
    let first = issued(&["a.example", "b.example", "a.example"]);
    assert_eq!(tls::never_shown(&[first.clone(), rsa, issued(&["c.example", "*.example"])]), []);
    let never = tls::never_shown(&[first, issued(&["d.example"]), issued(&["b.example", "a.example", "e.example"])]);
    let said = "The certificate is never shown for b.example and 1 more of its names: certificate 1 has the name and a key of the same \
                kind. Take one of them out.";
    assert_eq!(never, [(2, said.to_owned())]);
}
