//! Whom a client believes, and whom a server lets in.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use tls::{ClientAuth, ClientOptions, Error, Input, Reason, Roots, ServerOptions};

use crate::common::{AUTHORITY, Authority, Issued, Pair, Side, client_options, pump, server_options};

/// What a client says to a server with this certificate, under the name `a.example`.
fn verdict(issued: &Issued) -> Error {
    let server = ServerOptions { identities: vec![issued.identity()], ..ServerOptions::default() };
    let mut pair = Pair::with(client_options(), server);
    let (side, error) = pair.shake(usize::MAX).unwrap_err();
    assert_eq!(side, Side::Client);
    assert!(pump(&mut pair.client, &mut pair.server, usize::MAX), "the server is told why");
    let told = pair.server.handshake().unwrap_err();
    assert_eq!(told.reason(), Reason::Refused, "{told}");
    error
}

#[test]
fn a_server_that_cannot_be_believed_is_refused_in_words() {
    let expired = AUTHORITY.issue_with(&["a.example"], KeyPair::generate().unwrap(), |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let error = verdict(&expired);
    assert_eq!(error.reason(), Reason::Expired);
    assert!(error.to_string().starts_with("The server's certificate expired on 2020-01-01 ("), "{error}");

    let future = AUTHORITY.issue_with(&["a.example"], KeyPair::generate().unwrap(), |params| {
        params.not_before = rcgen::date_time_ymd(2999, 1, 1);
        params.not_after = rcgen::date_time_ymd(3000, 1, 1);
    });
    let error = verdict(&future);
    assert_eq!(error.reason(), Reason::NotYetValid);
    assert!(error.to_string().contains("from 2999-01-01 on only"), "{error}");

    let error = verdict(&Authority::new("Somebody").issue(&["a.example"]));
    assert_eq!(error.reason(), Reason::UnknownIssuer);
    assert_eq!(error.to_string(), "The server's certificate was issued by an authority that is not trusted here.");

    let error = verdict(&AUTHORITY.issue(&["b.example", "*.c.example", "10.0.0.1"]));
    assert_eq!(error.reason(), Reason::NameMismatch);
    let sentence = "The server's certificate is not for a.example; it names b.example, *.c.example and 10.0.0.1.";
    assert_eq!(error.to_string(), sentence);

    let only_client = AUTHORITY.issue_with(&["a.example"], KeyPair::generate().unwrap(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(verdict(&only_client).reason(), Reason::BadCertificate);
}

#[test]
fn without_verification_anybody_is_believed() {
    let stranger = Authority::new("Somebody").issue(&["b.example"]);
    let server = ServerOptions { identities: vec![stranger.identity()], ..ServerOptions::default() };
    let mut pair = Pair::with(ClientOptions::insecure_without_verification(), server);
    pair.shake(usize::MAX).unwrap();
}

fn mutual(required: bool, revocations: Option<&str>, client: Option<&Issued>) -> Result<Pair, Error> {
    let auth = ClientAuth::new(AUTHORITY.pem.as_bytes(), required, revocations.map(str::as_bytes)).unwrap();
    let mut options = client_options();
    options.identity = client.map(Issued::identity);
    let mut pair = Pair::with(options, ServerOptions { client_auth: Some(auth), ..server_options() });
    match pair.shake(usize::MAX) {
        Ok(()) => Ok(pair),
        Err((side, error)) => {
            assert_eq!(side, Side::Server);
            Err(error)
        }
    }
}

#[test]
fn clients_show_certificates_where_they_must_or_may() {
    let me = AUTHORITY.issue(&["me"]);
    let pair = mutual(true, None, Some(&me)).unwrap();
    let shown = &pair.server.peer_certificates().unwrap()[0];
    assert_eq!(tls::Certificate::read(shown).unwrap().subject, "CN=leaf");
    assert_eq!(tls::fingerprint(shown).len(), 64);
    assert!(mutual(false, None, None).unwrap().server.peer_certificates().is_none());
    let error = mutual(true, None, None).unwrap_err();
    assert_eq!(error.reason(), Reason::NoCertificate);
    assert_eq!(error.to_string(), "The client showed no certificate, and one is required.");
    let stranger = Authority::new("Somebody").issue(&["me"]);
    for required in [true, false] {
        let error = mutual(required, None, Some(&stranger)).unwrap_err();
        assert_eq!(error.reason(), Reason::UnknownIssuer);
    }
}

/// The list of an authority that revokes one certificate, and is to be renewed at the begin of a year.
fn revoking(serial: &SerialNumber, authority: &Authority, until: i32) -> String {
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2024, 1, 1),
        next_update: rcgen::date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&authority.issuer).unwrap().pem().unwrap()
}

#[test]
fn a_client_below_a_revoked_authority_is_refused() {
    let serial = SerialNumber::from(4712);
    let (middle, pem) = AUTHORITY.authority("Middle", &serial);
    let mut me = middle.issue(&["me"]);
    me.chain.push_str(&pem);
    mutual(true, None, Some(&me)).unwrap();
    // A list that says nothing of it lets it in, as does one of its own authority.
    for harmless in [revoking(&SerialNumber::from(1), &AUTHORITY, 2999), revoking(&serial, &middle, 2999)] {
        mutual(true, Some(&harmless), Some(&me)).unwrap();
    }
    let error = mutual(true, Some(&revoking(&serial, &AUTHORITY, 2999)), Some(&me)).unwrap_err();
    assert_eq!(error.reason(), Reason::Revoked, "{error}");
}

#[test]
fn what_is_wrong_with_the_files_about_clients_is_said() {
    const YEAR_2026: u64 = 1_767_225_600;
    let warnings = |authorities: &str, list: Option<&str>| {
        let auth = ClientAuth::new(authorities.as_bytes(), true, list.map(str::as_bytes)).unwrap();
        auth.warnings(YEAR_2026)
    };
    let serial = SerialNumber::from(1);
    assert_eq!(warnings(&AUTHORITY.pem, Some(&revoking(&serial, &AUTHORITY, 2999))), []);
    let old = warnings(&AUTHORITY.pem, Some(&revoking(&serial, &AUTHORITY, 2025)));
    let said = "The revocation list of CN=Test Authority was to be renewed by 2025-01-01: whoever was revoked since is let in. \
                Fetch a new one.";
    assert_eq!(old, [(Input::Revocations, said.to_owned())]);
    let strange = warnings(&AUTHORITY.pem, Some(&revoking(&serial, &Authority::new("Somebody"), 2999)));
    let said = "The revocation list of CN=Somebody is of none of the authorities in client_ca";
    assert!(matches!(&strange[..], [(Input::Revocations, sentence)] if sentence.starts_with(said)), "{strange:?}");
    let leaf = warnings(&AUTHORITY.issue(&["a.example"]).chain, None);
    let said = "The certificate of a.example is not that of an authority (CA:TRUE) but was issued by CN=Test Authority";
    assert!(matches!(&leaf[..], [(Input::Authorities, sentence)] if sentence.starts_with(said)), "{leaf:?}");
    // A client that is believed for itself.
    let own = rcgen::generate_simple_self_signed(vec!["me".to_owned()]).unwrap();
    assert_eq!(warnings(&own.cert.pem(), None), []);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Old");
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let old = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let said = "The authority CN=Old expired on 2025-01-01: whom it has signed is let in all the same. Replace it.";
    let old = warnings(&old.pem(), None);
    assert!(matches!(&old[..], [(Input::Authorities, sentence)] if sentence.ends_with(&said[14..])), "{old:?}");
}

#[test]
fn a_revoked_client_is_refused_and_others_are_not() {
    let serial = SerialNumber::from(4711);
    let revoked = AUTHORITY.issue_with(&["me"], KeyPair::generate().unwrap(), |params| {
        params.serial_number = Some(serial.clone());
    });
    let list = revoking(&serial, &AUTHORITY, 2999);
    let error = mutual(true, Some(&list), Some(&revoked)).unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (Reason::Revoked, "The client's certificate was revoked.")
    );
    mutual(true, Some(&list), Some(&AUTHORITY.issue(&["me"]))).unwrap();

    let error = ClientAuth::new(AUTHORITY.pem.as_bytes(), true, Some(b"")).unwrap_err();
    assert_eq!(error.input, Input::Revocations);
    let error = ClientAuth::new(b"", true, None).unwrap_err();
    assert_eq!(error.input, Input::Authorities);
    assert!(Roots::from_pem(b"").is_err());
}
