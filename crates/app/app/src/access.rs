//! Which clients may use a route.

use std::net::IpAddr;

use client_address::Networks;
use observe::{Failure, Kind};

/// A route's `allow` and `deny`.
pub(crate) struct Access {
    /// None: everybody.
    allow: Option<Networks>,
    deny: Networks,
}

impl Access {
    /// None where everybody may come in.
    pub(crate) fn of(route: &config::Route) -> Option<Access> {
        let allow = (!route.allow.is_empty()).then(|| Networks::new(&route.allow));
        let access = Access { allow, deny: Networks::new(&route.deny) };
        (access.allow.is_some() || !access.deny.is_empty()).then_some(access)
    }

    /// Whether a client of that address may come in. One whose address is not known is in no network: `allow` keeps it out.
    pub(crate) fn check(&self, client: Option<IpAddr>) -> Result<(), Failure> {
        let is_in = |networks: &Networks| client.is_some_and(|address| networks.contains(address));
        if is_in(&self.deny) || self.allow.as_ref().is_some_and(|allow| !is_in(allow)) {
            return Err(Failure::because(
                Kind::Forbidden,
                "This server does not serve this to clients at your address.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn access(keys: &str) -> Option<Access> {
        let text = format!("[[route]]\nrespond = {{ body = \"a\" }}\n{keys}");
        Access::of(&config::parse(&text, "a test", Path::new("/")).unwrap().plan.routes[0])
    }

    fn may(access: &Access, client: Option<[u8; 4]>) -> bool {
        access.check(client.map(IpAddr::from)).is_ok()
    }

    #[test]
    fn deny_goes_before_allow() {
        let both = access("allow = [\"10.0.0.0/8\"]\ndeny = [\"10.1.0.0/16\"]").unwrap();
        assert!(may(&both, Some([10, 2, 0, 1])));
        assert!(!may(&both, Some([10, 1, 0, 1])) && !may(&both, Some([11, 0, 0, 1])) && !may(&both, None));
        let deny = access("deny = [\"10.1.0.0/16\"]").unwrap();
        assert!(may(&deny, Some([11, 0, 0, 1])) && may(&deny, None) && !may(&deny, Some([10, 1, 2, 3])));
        assert!(access("").is_none() && access("deny = []").is_none());
    }
}
