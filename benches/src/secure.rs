//! What the benches over TLS need: a certificate that all peers show, load by `loadgen` over the same key exchange, and what the
//! server spent on it.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    peers::Running,
    process::{LOAD_CPU, on_cpu, sibling},
    usage,
};

/// The only group that the load offers, so that all peers do the same work; OpenSSL 3.0 knows none that is post-quantum.
pub const GROUP: &str = "X25519";

/// Makes a certificate (ECDSA P-256) for the loopback address in `folder`, once; the paths of it, of its key, and of both in one
/// file, which HAProxy wants.
pub fn certificate(folder: &Path) -> io::Result<[String; 3]> {
    let paths = ["tls.pem", "tls.key", "tls.both"].map(|name| folder.join(name).to_string_lossy().into_owned());
    if !Path::new(&paths[2]).exists() {
        let [cert, key, both] = &paths;
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"]);
        command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        let made = command.args(["-keyout", key, "-out", cert]).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        std::fs::write(both, [std::fs::read(cert)?, std::fs::read(key)?].concat())?;
    }
    Ok(paths)
}

/// HAProxy that answers every request with `file`, which it keeps in memory.
pub fn haproxy(address: SocketAddr, certificate: &str, file: &str) -> String {
    format!(
        "global
    nbthread 1
    maxconn 6000
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend front
    bind {address} backlog 4096 ssl crt {certificate} ssl-min-ver TLSv1.3
    http-request return status 200 content-type text/plain file {file}
"
    )
}

/// One request over TLS; an error until it is answered.
pub fn ask(address: SocketAddr, path: &str) -> io::Result<()> {
    load(&["-n", "1", "-c", "1"], address, path)?.output().and_then(|out| {
        if out.status.code() == Some(1) || out.status.code() == Some(2) {
            Err(io::Error::other(String::from_utf8_lossy(&out.stderr).trim().to_owned()))
        } else {
            Ok(())
        }
    })
}

/// `loadgen` with these arguments against `address`, whose answers are verified, ready to be started.
pub fn load(arguments: &[&str], address: SocketAddr, path: &str) -> io::Result<Command> {
    let verified = [arguments, &["--verify", "length"]].concat();
    load_unverified(&verified, address, path)
}

/// The same where there are no answers, or none to verify.
pub fn load_unverified(arguments: &[&str], address: SocketAddr, path: &str) -> io::Result<Command> {
    let mut command = Command::new(sibling("loadgen")?);
    command.args(arguments).args(["-q", "--json", "-", "--insecure", "--group", GROUP]);
    command.arg(format!("https://{address}{path}")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// What a run of load came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Answers, or handshakes.
    pub done: u64,
    /// CPU time of the server from the start of the load program to its end.
    pub server: Duration,
    /// Wall time of the same.
    pub wall: Duration,
    /// Busy time of all CPUs, with everything else that ran.
    pub machine: Duration,
    /// CPU time of the load program.
    pub load: Duration,
}

impl Sample {
    /// Server time for each thing done, in microseconds.
    pub fn micros(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.done.max(1) as f64
    }

    /// CPUs' worth of what is neither the server nor the load.
    pub fn others(&self) -> f64 {
        self.machine.saturating_sub(self.server + self.load).as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Runs `loadgen` on the load's CPU until it ends. An answer that is wrong or missing is an error.
pub fn measure(running: &Running, arguments: &[&str], path: &str) -> io::Result<Sample> {
    let pids = &running.program.pids;
    let mut command = load(arguments, running.address, path)?;
    let (before, machine, load_before) = (usage::cpu_time(pids)?, usage::machine_busy()?, usage::ended_children()?);
    let begun = Instant::now();
    let output = on_cpu(LOAD_CPU, || command.output())??;
    let wall = begun.elapsed();
    let server = usage::cpu_time(pids)?.saturating_sub(before);
    let machine = usage::machine_busy()?.saturating_sub(machine);
    let load = usage::ended_children()?.saturating_sub(load_before);
    let report = report(&output)?;
    let done = report["summary"]["answered"].as_u64().unwrap_or(0);
    Ok(Sample { done, server, wall, machine, load })
}

/// What `loadgen` printed, where nothing went wrong. That it was the limit itself (status 3) is no fault: server time is what is
/// measured.
pub fn report(output: &std::process::Output) -> io::Result<Value> {
    let failed = || {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let out: String = out.chars().take(300).collect();
        io::Error::other(format!("loadgen failed ({}): {err}{out}", output.status))
    };
    let value: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
    let right = value["summary"]["errors"] == 0 && value["summary"]["answered"].as_u64().is_some_and(|n| n > 0);
    if right { Ok(value) } else { Err(failed()) }
}
