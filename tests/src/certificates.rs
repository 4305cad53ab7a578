//! Certificates for tests, made anew for each.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// One of this name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("random numbers");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A good certificate for these names and addresses, for servers and clients.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.sign(names, |_| ())
    }

    /// One that has expired years ago.
    pub fn issue_expired(&self, names: &[&str]) -> Certificate {
        self.sign(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// A good certificate, and the list that revokes it and no other.
    pub fn issue_revoked(&self, names: &[&str]) -> (Certificate, String) {
        let serial = || SerialNumber::from(vec![0x5e, 0x1f]);
        let certificate = self.sign(names, |params| params.serial_number = Some(serial()));
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: serial(),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        (certificate, list.signed_by(&self.issuer).expect("a list").pem().expect("text"))
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("good names");
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("nobody", |name| name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().expect("random numbers");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Certificate { cert, key: key.serialize_pem() }
    }

    /// Its key, PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Writes its certificate to `folder/NAME.pem`.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        written(folder, &format!("{name}.pem"), &self.pem)
    }
}

impl Certificate {
    /// Writes `folder/NAME.pem` and `folder/NAME.key`, each replaced whole.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = written(folder, &format!("{name}.key"), &self.key);
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("a file of ours");
        (written(folder, &format!("{name}.pem"), &self.cert), key)
    }
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (path, beside) = (folder.join(name), folder.join(format!("{name}.new")));
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path)).expect("a file of ours");
    path
}
