//! `echo`: answers with what it was sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use echo_app::Options;
use net::Address;

/// Answers every connection with what it was sent.
///
/// The event loop alone, with nothing on top: a server to measure load generators and networks with, and the yardstick for
/// the loop itself. Any bytes, any number of connections that the descriptor limit allows (it is raised to the hard limit). A
/// connection holds one buffer of 16 KiB while bytes are in it and none otherwise; a client that does not read is not read from. A
/// client that closes its sending side gets the rest and then the end.
///
/// Ctrl-C or SIGTERM stops: what was sent is echoed, clients have 5 s to take it, the totals are printed, and the exit status is 0.
/// A second one stops at once.
#[derive(Parser)]
#[command(name = "echo", version, after_help = EXAMPLES)]
struct Arguments {
    /// The port to listen on; 0 lets the system choose [default: 8080]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,

    /// Where to listen: an IP address (with the port of -p), IP:PORT, [IPv6]:PORT or unix:/PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = parse_listen)]
    listen: Listen,

    /// Events taken from the kernel by one wait
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_events: u32,

    /// Worker threads: a number from 1 to 255, or "auto" for one per usable CPU
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_workers)]
    workers: usize,

    /// Say every second: the time, connections active and pending, requests and bytes a second, p50 and p99 from readable to written
    ///
    /// Active connections are open; pending ones hold bytes that their client has not taken yet. A request is what one read brought,
    /// once it is written back. The time to that is taken from when the kernel's report of readable bytes arrived, in all turns of the
    /// loop below 20,000 requests a second and in one turn of eight above. On a terminal the figures are drawn in place, with a
    /// sparkline of the last minute; elsewhere a line a second is written.
    #[arg(long)]
    stats: bool,

    /// Close a connection on which no byte has moved for so long: 250ms, 30s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    idle: Duration,
}

const EXAMPLES: &str = "Examples:
  echo -p 8080 --stats                      on 127.0.0.1:8080, with a line every second
  echo --listen 0.0.0.0 --workers auto      for everybody, one thread per CPU
  echo --listen unix:/run/echo.sock         on a Unix socket
  printf hello | nc -N 127.0.0.1 8080       try it";

/// `--listen`: with a port of its own, or without.
#[derive(Clone)]
enum Listen {
    Ip(IpAddr),
    Whole(Address),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let listen = match (&arguments.listen, arguments.port) {
        (Listen::Ip(ip), port) => Address::Tcp(SocketAddr::new(*ip, port.unwrap_or(8080))),
        (Listen::Whole(address), None) => address.clone(),
        (Listen::Whole(address), Some(port)) => {
            let sentence =
                format!("--listen {address} says it all; leave out -p {port}, or give an IP address alone\n");
            clap::Error::raw(ErrorKind::ArgumentConflict, sentence).exit()
        }
    };
    echo_app::run(&Options {
        listen,
        workers: arguments.workers,
        max_events: arguments.max_events as usize,
        stats: arguments.stats,
        idle: arguments.idle,
    })
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    if text == "localhost" {
        return Ok(Listen::Ip(Ipv4Addr::LOCALHOST.into()));
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(Listen::Ip(ip));
    }
    let address = text.parse().map(Listen::Whole);
    address.map_err(|_| "expected an IP address, IP:PORT, [IPv6]:PORT or unix:/PATH".to_owned())
}

fn parse_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        _ if text == "auto" => Ok(0),
        Ok(n @ 1..=255) => Ok(n),
        _ => Err("expected a number from 1 to 255, or \"auto\"".into()),
    }
}

/// Twelve days: the most that the loop's clock tells apart from the past.
const LONGEST: Duration = Duration::from_secs(12 * 24 * 3600);

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "expected a whole number and a unit, such as 30s or 5m".to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("a unit is missing: did you mean {number}s?")),
        _ => return Err("the units are ms, s, m and h".into()),
    };
    let time = Duration::from_millis(number.saturating_mul(millis));
    if time.is_zero() {
        return Err("it must be longer than nothing".into());
    }
    if time > LONGEST { Err("12 days (288h) is the most".into()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bounds() {
        let good = [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("288h", 1_036_800_000)];
        for (text, millis) in good {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
        for bad in ["", "5", "m", "0s", "-1s", "1.5s", "5 m", "289h", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_with_and_without_a_port() {
        for ip in ["127.0.0.1", "::1", "[::1]", "localhost"] {
            assert!(matches!(parse_listen(ip), Ok(Listen::Ip(_))), "{ip}");
        }
        for whole in ["127.0.0.1:0", "[::1]:80", "unix:/x"] {
            assert!(matches!(parse_listen(whole), Ok(Listen::Whole(_))), "{whole}");
        }
        for bad in ["", "echo.example", ":80", "127.0.0.1:", "unix:"] {
            assert!(parse_listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
