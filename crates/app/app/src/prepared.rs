//! A plan with everything that can fail done already.

use std::fmt;
use std::sync::Arc;

use config::{Action, Plan};
use router::Router;

use crate::site;

/// A plan that is ready to be served: its router built, its roots opened. Shared by all workers.
pub struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) router: Router,
    /// By route: the root of a `files` action.
    pub(crate) roots: Vec<Option<Arc<fs::Root>>>,
}

/// Why a plan cannot be served.
#[derive(Debug)]
pub struct PrepareError(String);

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PrepareError {}

impl PrepareError {
    pub(crate) fn new(sentence: impl Into<String>) -> PrepareError {
        PrepareError(sentence.into())
    }
}

impl Prepared {
    /// Prepares a plan.
    ///
    /// # Errors
    /// In a sentence: a root that cannot be opened, more different methods than a router holds.
    pub fn new(plan: Plan) -> Result<Prepared, PrepareError> {
        let rules: Vec<_> = plan.routes.iter().map(|r| r.rule.clone()).collect();
        let router = Router::build(&rules).map_err(|e| PrepareError::new(e.to_string()))?;
        plan.routes.iter().try_for_each(site::check)?;
        let roots = plan.routes.iter().map(|r| open_root(&r.action)).collect::<Result<_, _>>()?;
        Ok(Prepared { plan, router, roots })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What an operator should know about the roots: the kernel cannot hold a path beneath them by itself.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.roots.iter().flatten().filter(|root| root.mode() == fs::Mode::NoLinks).map(|root| {
            let root = root.path().display();
            format!("this kernel has no openat2: symbolic links beneath {root} are refused, all of them")
        })
    }
}

fn open_root(action: &Action) -> Result<Option<Arc<fs::Root>>, PrepareError> {
    let Action::Files(files) = action else { return Ok(None) };
    match fs::Root::open(&files.root) {
        Ok(root) => Ok(Some(Arc::new(root))),
        Err(e) => Err(PrepareError::new(format!("the root {} cannot be opened: {e}", files.root.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What the configuration lets through can be prepared: every mistake is found there, with its line.
    #[test]
    fn what_config_accepts_is_accepted_here() {
        let folder = Path::new("../config/tests/golden");
        let mut prepared = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let environment = |_: &str| Some("4".to_owned());
            if let Ok(loaded) = config::parse_with(&text, "a golden file", folder, &environment) {
                Prepared::new(loaded.plan).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                prepared += 1;
            }
        }
        assert!(prepared >= 5, "only {prepared} golden files are right");
    }
}
