//! The connections of a proxy to its origin: how many it holds, and how many of them are in use.

use std::{collections::HashSet, fs, io, net::SocketAddr, process::Command};

/// What a proxy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstreams {
    /// Connections that are open.
    pub held: usize,
    /// Those that a request went out on within the last [`LATELY_MS`].
    pub used: usize,
}

/// At the rates of these benches that is several requests for each connection, if all of them are used.
pub const LATELY_MS: u64 = 100;

impl Upstreams {
    /// The open TCP connections of the processes `pids` that do not come to `listens`. Asks `ss` (iproute2).
    pub fn of(pids: &[u32], listens: SocketAddr) -> io::Result<Upstreams> {
        let inodes: HashSet<u64> = pids.iter().flat_map(|pid| sockets(*pid)).collect();
        let asked = Command::new("ss").args(["-tinHeO", "state", "established"]).output();
        let output = asked.map_err(|error| io::Error::other(format!("ss (of iproute2) cannot be asked: {error}")))?;
        Ok(count(&String::from_utf8_lossy(&output.stdout), &inodes, &format!(":{}", listens.port())))
    }
}

fn count(lines: &str, inodes: &HashSet<u64>, listens: &str) -> Upstreams {
    let mut upstreams = Upstreams { held: 0, used: 0 };
    for line in lines.lines() {
        let value =
            |name: &str| line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
        let is_ours = value("ino:").is_some_and(|inode| inodes.contains(&inode));
        let local = line.split_ascii_whitespace().nth(2).unwrap_or_default();
        if is_ours && !local.ends_with(listens) {
            upstreams.held += 1;
            // Times of 0 are left out.
            let has_sent = value("bytes_sent:").is_some();
            upstreams.used += usize::from(has_sent && value("lastsnd:").unwrap_or(0) < LATELY_MS);
        }
    }
    upstreams
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter_map(|to| to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn lines_of_ss_are_counted_by_socket_and_side() {
        let lines = "0 0 127.0.0.1:8080 127.0.0.1:5 ino:1 sk:1 <-> ts rto:204 lastsnd:1 lastrcv:100\n\
                     0 0 127.0.0.1:40001 127.0.0.9:80 ino:2 sk:2 <-> ts bytes_sent:9 lastsnd:99 lastrcv:1\n\
                     0 0 127.0.0.1:40002 127.0.0.9:80 ino:3 sk:3 <-> ts bytes_sent:9 lastsnd:100 lastrcv:1\n\
                     0 0 127.0.0.1:40003 127.0.0.9:80 ino:9 sk:4 <-> ts bytes_sent:9 lastsnd:1 lastrcv:1\n\
                     0 0 127.0.0.1:40004 127.0.0.9:80 ino:4 sk:5 <-> ts bytes_sent:9 lastrcv:1\n\
                     0 0 127.0.0.1:40005 127.0.0.9:80 ino:5 sk:6 <-> ts lastrcv:1\n";
        let counted = count(lines, &[1, 2, 3, 4, 5].into(), ":8080");
        assert_eq!(counted, Upstreams { held: 4, used: 2 });
    }

    #[test]
    fn the_connections_of_a_process_are_found() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let count = || Upstreams::of(&[std::process::id()], address);
        let before = count()?;
        let mut stream = TcpStream::connect(address)?;
        let _accepted = listener.accept()?;
        stream.write_all(b"x")?;
        let after = count()?;
        assert_eq!((after.held, after.used), (before.held + 1, before.used + 1));
        Ok(())
    }
}
