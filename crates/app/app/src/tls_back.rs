//! What TLS is spoken with to the servers of an upstream, made from the files that the plan names.

use config::{Address, Upstream};
use tls::{ClientConfig, ClientOptions, Identity, Input, Roots, ShownTo, fingerprint, server_name};

use crate::prepared::PrepareError;
use crate::tls_front::{Stamp, in_file, read};

/// One upstream's side of TLS. Shared by all workers; each makes its own configuration for each server from it, since those
/// hold the sessions that are resumed.
pub(crate) struct Back {
    /// The upstream's name.
    name: String,
    options: ClientOptions,
    server_name: Option<String>,
    /// A digest of everything it was made from.
    made_from: String,
    /// Its files as they were before they were read.
    pub(crate) stamps: Vec<Stamp>,
}

impl Back {
    /// Reads the files of an upstream with a server over TLS; none when it has no such. `system` keeps the system's authorities
    /// once they are read.
    ///
    /// # Errors
    /// In a sentence, with the file.
    pub(crate) fn load(plan: &Upstream, system: &mut Option<Roots>) -> Result<Option<Back>, PrepareError> {
        if plan.servers.iter().all(|s| !s.tls) {
            return Ok(None);
        }
        let back = Back::read(plan, system).map_err(|e| PrepareError::new(format!("upstream {}: {e}", plan.name)))?;
        // What would fail on the workers fails here.
        for server in plan.servers.iter().filter(|s| s.tls) {
            back.to(&server.address).map_err(|e| PrepareError::new(format!("upstream {}: {e}", plan.name)))?;
        }
        Ok(Some(back))
    }

    fn read(plan: &Upstream, system: &mut Option<Roots>) -> Result<Back, String> {
        let tls = &plan.tls;
        let client = tls.client.iter().flat_map(|files| [&files.cert, &files.key]);
        let authorities = tls.ca.iter().filter(|_| !tls.insecure);
        let stamps = authorities.chain(client).map(|path| Stamp::of(path.clone())).collect();
        let mut made_from = format!("{tls:?}").into_bytes();
        let mut options = match &tls.ca {
            _ if tls.insecure => ClientOptions::insecure_without_verification(),
            Some(path) => {
                let authorities = read(path)?;
                let roots = Roots::from_pem(&authorities).map_err(|e| in_file(path, &e))?;
                made_from.extend(authorities);
                ClientOptions::new(roots)
            }
            None => {
                let roots = match system {
                    Some(roots) => roots.clone(),
                    None => system.insert(Roots::system().map_err(|e| e.sentence)?).clone(),
                };
                // The system may trust others than before.
                made_from.extend(roots.fingerprint().into_bytes());
                ClientOptions::new(roots)
            }
        };
        if let Some(files) = &tls.client {
            // What is told apart by is what was read, also where a file changes meanwhile.
            let (chain, private) = (read(&files.cert)?, read(&files.key)?);
            let identity = Identity::from_pem(&chain, &private);
            let file = |input| if input == Input::Key { &files.key } else { &files.cert };
            options.identity = Some(identity.map_err(|e| in_file(file(e.input), &e))?);
            made_from.extend(chain);
            made_from.extend(private);
        }
        options.alpn = vec![b"http/1.1".to_vec()];
        let name = plan.name.clone();
        Ok(Back { name, options, server_name: tls.server_name.clone(), made_from: fingerprint(&made_from), stamps })
    }

    /// Whether it was made from the same.
    pub(crate) fn is_same(&self, other: &Back) -> bool {
        self.made_from == other.made_from
    }

    /// The certificate that servers are shown.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.options.identity.as_ref()
    }

    /// What an operator should know at `now` of the certificate that servers are shown, as sentences with the upstream's name.
    pub(crate) fn warnings(&self, now: u64) -> Vec<String> {
        let warnings = self.identity().map(|identity| identity.warnings(now, ShownTo::Servers)).unwrap_or_default();
        warnings.into_iter().map(|sentence| format!("upstream {}: tls.client_cert: {sentence}", self.name)).collect()
    }

    /// For the server at `address`.
    ///
    /// # Errors
    /// In a sentence: a name that no certificate can carry.
    pub(crate) fn to(&self, address: &Address) -> Result<upstream::Tls, String> {
        let host = match (&self.server_name, address) {
            (Some(name), _) => name.clone(),
            (None, Address::Name { host, .. }) => host.clone(),
            (None, Address::Tcp(addr)) => addr.ip().to_string(),
            (None, Address::Unix(_)) => return Err("a server behind a Unix socket needs tls.server_name".into()),
        };
        let name = server_name(&host).map_err(|e| e.sentence)?;
        let config = ClientConfig::new(self.options.clone()).map_err(|e| e.sentence)?;
        Ok(upstream::Tls::new(config, name, self.made_from.clone()))
    }
}
