//! The options that say how the folder is served.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use config::{AccessFormat, AccessLog, Action, Files, LogTarget, Plan};

/// How the folder is served; with `--config` the file says it.
#[derive(Args)]
pub(crate) struct Serving {
    /// A single-page application: index.html answers, with 200, for every path that is not there
    #[arg(long, conflicts_with = "config")]
    spa: bool,

    /// A folder without index.html shows what is in it
    #[arg(long, conflicts_with = "config")]
    listing: bool,

    /// How long browsers may keep files without asking again: 30s, 10m, 1h, 7d; 0: they ask each time. With --spa they ask for pages
    /// each time, so that a new version shows at once [default: nothing is said, and they guess]
    #[arg(long, value_name = "TIME", value_parser = cache_control, allow_hyphen_values = true, conflicts_with = "config")]
    cache: Option<String>,

    /// Pages of other sites may read the files, by scripts too (CORS)
    #[arg(long, conflicts_with = "config")]
    cors: bool,

    /// For work on a site: the browser loads a page again when a file of it changes, and keeps none
    #[arg(long, conflicts_with_all = ["config", "cache"])]
    dev: bool,

    /// A line for each request on standard output [default: plain on a terminal, else off]
    #[arg(long, value_name = "FORM", value_enum, conflicts_with = "config")]
    log: Option<LogForm>,
}

/// The form of the lines.
#[derive(Clone, Copy, ValueEnum)]
enum LogForm {
    /// No line
    Off,
    /// For people
    Plain,
    /// The Common Log Format
    Common,
    /// The same with Referer and User-Agent
    Combined,
    /// An object a line
    Json,
}

impl Serving {
    /// Changes the plan of `server DIR` accordingly. A folder given by name is served as a site is: with its precompressed
    /// files, and compressed where that helps.
    pub(crate) fn apply(&self, plan: &mut Plan) {
        plan.access_log = self.access_log();
        for route in &mut plan.routes {
            if self.cors {
                let fields = [
                    ("Access-Control-Allow-Origin", "*"),
                    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
                    ("Access-Control-Allow-Headers", "*"),
                    ("Access-Control-Expose-Headers", "*"),
                    // Two hours: browsers believe no more, or little more.
                    ("Access-Control-Max-Age", "7200"),
                ];
                route.response_headers.set.extend(fields.map(|(name, value)| (name.into(), value.into())));
            }
            if let Action::Files(files) = &mut route.action {
                self.apply_to_files(files);
            }
        }
    }

    fn access_log(&self) -> Option<AccessLog> {
        let is_terminal = std::io::stdout().is_terminal();
        let form = self.log.unwrap_or(if is_terminal { LogForm::Plain } else { LogForm::Off });
        let format = match form {
            LogForm::Off => return None,
            // https://no-color.org
            LogForm::Plain => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                AccessFormat::Plain { colour: is_terminal && !unwanted }
            }
            LogForm::Common => AccessFormat::Common,
            LogForm::Combined => AccessFormat::Combined,
            LogForm::Json => AccessFormat::Json,
        };
        Some(AccessLog { target: LogTarget::Stdout, format })
    }

    fn apply_to_files(&self, files: &mut Files) {
        files.listing = self.listing;
        files.fallback = self.spa.then(|| String::from("/index.html"));
        files.cache_control = self.cache.clone();
        // Its page names the other files. Kept for an hour, it would hide a new version for as long, and ask for files that are gone.
        files.page_cache_control = (self.spa && self.cache.is_some()).then(|| String::from("no-cache"));
        if self.dev {
            files.live = true;
            files.cache_control = Some(String::from("no-store"));
            // What was compressed before may be older than what is being worked on.
            return;
        }
        files.precompressed = vec!["br", "zstd", "gzip"];
        // zstd first: it is by far the quickest for what it saves.
        files.compress = vec!["zstd", "br", "gzip"];
    }
}

/// The Cache-Control for a time such as `10m`.
fn cache_control(text: &str) -> Result<String, String> {
    let expected = || String::from("expected a time such as 30s, 10m, 1h or 7d, or 0");
    if text == "0" {
        return Ok(String::from("no-cache"));
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(unit_at);
    let unit: u32 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    // RFC 9111 §1.2.2: receivers count to 2^31 at least.
    let seconds = number.parse::<u32>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n <= i32::MAX as u32);
    seconds.map(|n| format!("max-age={n}")).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_cache_control() {
        for (text, want) in [("0", "no-cache"), ("30s", "max-age=30"), ("10m", "max-age=600"), ("7d", "max-age=604800")]
        {
            assert_eq!(cache_control(text).as_deref(), Ok(want), "{text}");
        }
        for wrong in ["", "1", "h", "1w", "-1s", "1.5h", "99999999999s", "99999d", "1h "] {
            assert!(cache_control(wrong).is_err(), "{wrong}");
        }
    }
}
