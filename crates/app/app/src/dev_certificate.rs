//! Certificates for trying things out: a local authority, made once for this user, and certificates signed by it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use config::CertificateFiles;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::facts::unix_now;
use crate::tls_front;

const DAY: Duration = Duration::from_secs(86_400);
/// Some clients take no certificate that is good for longer than 398 days.
const CERTIFICATE_DAYS: u32 = 397;
const AUTHORITY_DAYS: u32 = 3650;

/// `proxy cert dev NAME...`: writes `NAME.pem`, `NAME.key` and the authority's `authority.pem` into `folder`, which it makes, and says
/// how to use them. The exit status: 0, or 1 when it failed.
pub fn make(names: &[String], folder: &Path) -> ExitCode {
    let (text, status) = match authority_folder().and_then(|authority| issue(names, folder, &authority)) {
        Ok(issued) => (issued.advice(), ExitCode::SUCCESS),
        Err(why) => {
            let _ = writeln!(io::stderr(), "error: {why}");
            return ExitCode::FAILURE;
        }
    };
    // Whoever closed standard output does not want to hear.
    let _ = writeln!(io::stdout(), "{text}");
    status
}

/// A certificate for this machine by its usual names, made in the folder of the local authority if there is none that is good
/// for another month: `server --tls`.
///
/// # Errors
/// In a sentence.
pub fn for_localhost() -> Result<CertificateFiles, String> {
    let folder = authority_folder()?;
    let files = localhost_files(&folder);
    if !is_usable(&files, &folder) {
        let issued = issue(&["localhost", "127.0.0.1", "::1"].map(str::to_owned), &folder, &folder)?;
        let authority = issued.authority.display();
        let _ = writeln!(
            io::stderr(),
            "made a certificate for localhost; it is taken by clients that trust {authority} (import it into the browser, or curl --cacert)"
        );
    }
    Ok(files)
}

/// The one that [`for_localhost`] would take now; none where it would make one. For a check, which makes nothing.
///
/// # Errors
/// In a sentence: it would fail.
pub fn check_for_localhost() -> Result<Option<CertificateFiles>, String> {
    let folder = authority_folder()?;
    let files = localhost_files(&folder);
    if is_usable(&files, &folder) {
        return Ok(Some(files));
    }
    let authority = known_authority(&folder)?;
    refuse_to_replace(&files.cert, &files.key, authority.as_ref().map(|(_, pem)| &**pem))?;
    Ok(None)
}

fn localhost_files(folder: &Path) -> CertificateFiles {
    CertificateFiles { cert: folder.join("localhost.pem"), key: folder.join("localhost.key"), ocsp: None }
}

/// Whether they are there and good for another month.
fn is_usable(files: &CertificateFiles, folder: &Path) -> bool {
    let present = tls_front::identity(&files.cert, &files.key);
    // Of an authority that is no more it is worth nothing.
    let authority = fs::read_to_string(folder.join("authority.pem")).unwrap_or_default();
    let is_ours = !authority.is_empty() && is_signed_by(&files.cert, &authority);
    is_ours && present.is_ok_and(|identity| identity.certificate().days_left(unix_now()) > 30)
}

/// The files that were made.
struct Issued {
    cert: PathBuf,
    key: PathBuf,
    authority: PathBuf,
    is_new: bool,
    name: String,
}

impl Issued {
    fn advice(&self) -> String {
        let Issued { cert, key, authority, name, .. } = self;
        let (cert, key, authority) = (cert.display(), key.display(), authority.display());
        let made = if self.is_new { "made a local authority, of which only you have the key" } else { "signed by" };
        format!(
            "certificate  {cert} (with its chain, good for {CERTIFICATE_DAYS} days)\nkey          {key}\nauthority    \
             {authority} ({made})\n\nIn a configuration:\n  [listener.tls]\n  certificates = [{{ cert = \"{cert}\", key = \
             \"{key}\" }}]\n\nTry it:   curl --cacert {authority} https://{name}:8443/\nTrust it: import the authority into \
             your browser, or\n          sudo cp {authority} /usr/local/share/ca-certificates/tollgate-local.crt && sudo \
             update-ca-certificates"
        )
    }
}

fn issue(names: &[String], folder: &Path, authority: &Path) -> Result<Issued, String> {
    // A name and the same with the root's dot are one.
    let names: Vec<String> = names.iter().map(|name| name.strip_suffix('.').unwrap_or(name).to_owned()).collect();
    let Some(name) = names.first() else { return Err("there is no name to make a certificate for".into()) };
    for name in &names {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        tls::server_name(bare).map_err(|e| e.sentence)?;
    }
    let stem = name.replace(['*', ':'], "_");
    if stem.eq_ignore_ascii_case("authority") {
        return Err(
            "authority.pem and authority.key are the files of the authority; put another of the names first".into()
        );
    }
    let (is_new, issuer, authority_pem) = self::authority(authority)?;
    fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
    let failed = |e: rcgen::Error| format!("the certificate could not be made: {e}");
    let mut params = CertificateParams::new(names.clone()).map_err(failed)?;
    params.distinguished_name = called(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    lasting(&mut params, CERTIFICATE_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    // Who verifies what was made here wants it beside; one of somebody else stays what it is.
    let beside = folder.join("authority.pem");
    let authority_file = match fs::read_to_string(&beside) {
        Ok(there) if there == authority_pem => beside,
        Err(e) if e.kind() == io::ErrorKind::NotFound => beside,
        _ => authority.join("authority.pem"),
    };
    let issued = Issued {
        cert: folder.join(format!("{stem}.pem")),
        key: folder.join(format!("{stem}.key")),
        authority: authority_file,
        is_new,
        name: name.replace("*.", "www."),
    };
    refuse_to_replace(&issued.cert, &issued.key, Some(&authority_pem))?;
    write(&issued.key, &key.serialize_pem(), 0o600)?;
    write(&issued.cert, &(certificate.pem() + &authority_pem), 0o644)?;
    if !is_taken(&issued.authority) {
        // By a name of its own, since others may be doing the same for other names.
        let new = folder.join(format!("{stem}.authority"));
        write(&new, &authority_pem, 0o644)?;
        fs::rename(&new, &issued.authority)
            .map_err(|e| format!("{} cannot be written: {e}", issued.authority.display()))?;
    }
    Ok(issued)
}

/// What was not made here with this authority stays.
fn refuse_to_replace(cert: &Path, key: &Path, authority: Option<&str>) -> Result<(), String> {
    let is_ours = authority.is_some_and(|authority| is_signed_by(cert, authority));
    if is_ours || !(is_taken(cert) || is_taken(key)) {
        return Ok(());
    }
    let (cert, key) = (cert.display(), key.display());
    Err(format!(
        "{cert} and {key} would be replaced, but what is there was not made by your local authority; move it away first, or \
         call this in another folder"
    ))
}

fn is_taken(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Whether a file holds a certificate that was written here with this authority behind it.
fn is_signed_by(cert: &Path, authority: &str) -> bool {
    fs::read_to_string(cert).is_ok_and(|chain| chain.ends_with(authority))
}

/// The authority of this folder, made if there is none.
fn authority(folder: &Path) -> Result<(bool, Issuer<'static, KeyPair>, String), String> {
    fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
    // Two that find none at once would each make one, and only the last would stay. Held until the return.
    let lock = folder.join("lock");
    let locked = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
    let _locked = locked
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|e| format!("{} cannot be locked: {e}", lock.display()))?;
    if let Some((pair, pem)) = known_authority(folder)? {
        return Ok((false, Issuer::new(authority_params()?, pair), pem));
    }
    let (cert, key) = authority_files(folder);
    let pair = KeyPair::generate().map_err(no_authority)?;
    let params = authority_params()?;
    let pem = params.self_signed(&pair).map_err(no_authority)?.pem();
    write(&key, &pair.serialize_pem(), 0o600)?;
    write(&cert, &pem, 0o644)?;
    Ok((true, Issuer::new(params, pair), pem))
}

/// The authority of this folder, if there is one: its key and its certificate.
fn known_authority(folder: &Path) -> Result<Option<(KeyPair, String)>, String> {
    let (cert, key) = authority_files(folder);
    match (fs::read_to_string(&cert), fs::read_to_string(&key)) {
        (Ok(pem), Ok(key_pem)) => {
            let pair = KeyPair::from_pem(&key_pem).map_err(|e| format!("{} cannot be used: {e}", key.display()))?;
            // A pair that does not belong together would sign what nobody can verify.
            let identity = tls::Identity::from_pem(pem.as_bytes(), key_pem.as_bytes())
                .map_err(|e| format!("{}: {e}", cert.display()))?;
            if identity.certificate().days_left(unix_now()) <= i64::from(CERTIFICATE_DAYS) {
                let (cert, key) = (cert.display(), key.display());
                return Err(format!(
                    "the local authority ends before a certificate of today would: remove {cert} and {key}, and a new one is made"
                ));
            }
            Ok(Some((pair, pem)))
        }
        (Err(a), Err(b)) if a.kind() == io::ErrorKind::NotFound && b.kind() == io::ErrorKind::NotFound => Ok(None),
        (Err(e), _) => Err(format!("{} cannot be read: {e}", cert.display())),
        (_, Err(e)) => Err(format!("{} cannot be read: {e}", key.display())),
    }
}

fn authority_files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("authority.pem"), folder.join("authority.key"))
}

fn authority_params() -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(no_authority)?;
    // The same each time: what a certificate says of its issuer is this, and the key.
    params.distinguished_name = called("Tollgate local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lasting(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

fn no_authority(error: rcgen::Error) -> String {
    format!("the local authority could not be made: {error}")
}

/// `$XDG_DATA_HOME/tollgate`, or where that is by default.
fn authority_folder() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("tollgate"))
        .ok_or_else(|| "neither HOME nor XDG_DATA_HOME names a folder for the local authority".to_owned())
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Valid from yesterday, since clocks differ.
fn lasting(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}

/// Replaces a file whole; nobody reads it before it has its rights.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    let failed = |e: io::Error| format!("{} cannot be written: {e}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of our own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("tollgate-dev-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn many_that_begin_at_once_have_one_authority() {
        let folder = Folder::new("at-once");
        let authority = folder.0.join("authority");
        let names = ["a.test", "b.test", "c.test", "d.test"];
        let make = |name: &str| issue(&[name.to_owned()], &folder.0, &authority).unwrap().cert;
        let certs: Vec<PathBuf> = std::thread::scope(|scope| {
            let all: Vec<_> = names.iter().map(|name| scope.spawn(|| make(name))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let authority = fs::read_to_string(authority.join("authority.pem")).unwrap();
        assert!(certs.iter().all(|cert| is_signed_by(cert, &authority)));
    }

    #[test]
    fn the_authority_is_made_once_and_signs_what_fits() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("once");
        let authority = folder.0.join("authority");
        let names = ["example.test".to_owned(), "*.example.test".to_owned(), "127.0.0.1".to_owned()];
        let first = issue(&names, &folder.0, &authority).unwrap();
        assert!(first.is_new);
        let kept = fs::read(&first.authority).unwrap();
        let second = issue(&names[2..], &folder.0, &authority).unwrap();
        // Its own it replaces, also under the name with the root's dot.
        let dotted = issue(&["example.test.".to_owned()], &folder.0, &authority).unwrap();
        assert_eq!(dotted.cert, first.cert);
        assert!(!second.is_new);
        assert_eq!(fs::read(&second.authority).unwrap(), kept);
        for issued in [&first, &second] {
            let (chain, key) = (fs::read(&issued.cert).unwrap(), fs::read(&issued.key).unwrap());
            let identity = tls::Identity::from_pem(&chain, &key).unwrap();
            let days = identity.certificate().days_left(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
            assert!((396..=397).contains(&days), "{days}");
            assert_eq!(fs::metadata(&issued.key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(first.advice().contains("curl --cacert"));
        // The folder is made, and the authority lies beside, unless another is there.
        let deep = folder.0.join("not/there/yet");
        assert_eq!(issue(&names, &deep, &authority).unwrap().authority, deep.join("authority.pem"));
        assert_eq!(fs::read(deep.join("authority.pem")).unwrap(), kept);
        fs::write(deep.join("authority.pem"), "precious").unwrap();
        assert_eq!(issue(&names, &deep, &authority).unwrap().authority, authority.join("authority.pem"));
        assert_eq!(fs::read(deep.join("authority.pem")).unwrap(), b"precious");
        assert!(issue(&["not a name".to_owned()], &folder.0, &authority).is_err());
        // The authority's own files are no host's.
        for into in [&folder.0, &authority] {
            assert!(
                issue(&["authority".to_owned()], into, &authority).is_err_and(|e| e.contains("another of the names"))
            );
        }
        assert_eq!(fs::read(authority.join("authority.pem")).unwrap(), kept);
        // What was not made here stays.
        let theirs = [folder.0.join("theirs.test.pem"), folder.0.join("theirs.test.key")];
        for there in &theirs {
            fs::write(there, "precious").unwrap();
            let refused = issue(&["theirs.test".to_owned()], &folder.0, &authority).err().unwrap();
            assert!(refused.contains("would be replaced"), "{refused}");
            assert_eq!(fs::read(there).unwrap(), b"precious");
            fs::remove_file(there).unwrap();
        }
        fs::remove_file(authority.join("authority.pem")).unwrap();
        assert!(issue(&names, &folder.0, &authority).is_err_and(|why| why.contains("authority.pem cannot be read")));
    }
}
