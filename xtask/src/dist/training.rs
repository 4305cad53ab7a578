//! What the programs are trained with: the kinds of load that most of them serve most of the time.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::shell::{self, Outcome};

/// For a program to listen.
const PATIENCE: Duration = Duration::from_secs(20);

const GZIP: &str = "Accept-Encoding: gzip";

/// Puts the programs in `programs` under load; what they count goes to `profiles`.
pub(super) fn run(programs: &Path, profiles: &Path) -> Outcome {
    let site = profiles.with_file_name("site");
    plant(&site)?;
    let training = Training { programs, profiles };
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| site.with_file_name(name).display().to_string());
    shell::run_hushed(&mut shell::command(
        "openssl",
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-days",
            "2",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    ))
    .1?;
    let site = site.display().to_string();
    let server = training.start("server", &[&site, "--workers", "1"], "--listen")?;
    let to = server.address.to_string();
    let proxy = training.start("proxy", &["--to", &to, "--workers", "1"], "--listen")?;
    let secure = training.start(
        "server",
        &[&site, "--workers", "1", "--tls-cert", &certificate, "--tls-key", &key],
        "--listen",
    )?;
    let echo = training.start("echo", &[], "--listen")?;
    for (address, scheme) in [(server.address, "http"), (proxy.address, "http"), (secure.address, "https")] {
        let url = |path: &str| format!("{scheme}://{address}/{path}");
        let most = ["-c", "64", "-d", "4s"];
        training.load(&most, &url("1k.txt"))?;
        training.load(&["-c", "64", "-n", "3000", "--no-keep-alive"], &url("1k.txt"))?;
        // What is compressed anew and what was kept compressed need not be the same bytes.
        training.load(&["-c", "16", "-n", "4000", "-H", GZIP, "--verify", "status"], &url("style.css"))?;
        training.load(&["-c", "16", "-n", "2000"], &url("100k.bin"))?;
        training.load(&["-c", "16", "-n", "1000", "--expect-status", "404"], &url("missing"))?;
    }
    training.load(&["-c", "64", "-d", "2s", "--pipeline", "16"], &format!("http://{}/1k.txt", server.address))?;
    training.load(&["-c", "64", "-d", "2s"], &format!("tcp://{}", echo.address))?;
    [server, proxy, secure, echo].into_iter().try_for_each(Running::end)
}

fn plant(site: &Path) -> Outcome {
    let files = [
        ("1k.txt", "x".repeat(1 << 10)),
        ("style.css", ".a{color:red}\n".repeat(600)),
        ("100k.bin", "x".repeat(100 << 10)),
    ];
    fs::create_dir_all(site).map_err(|error| format!("{}: {error}", site.display()))?;
    for (name, content) in files {
        fs::write(site.join(name), content).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

struct Training<'t> {
    programs: &'t Path,
    profiles: &'t Path,
}

struct Running {
    name: String,
    child: Child,
    address: SocketAddr,
}

impl Training<'_> {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("LLVM_PROFILE_FILE", self.profiles.join("%m-%p.profraw"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts a program on a free port, and waits until it listens.
    fn start(&self, program: &str, arguments: &[&str], listen: &str) -> Outcome<Running> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no free port: {error}"))?;
        let mut command = self.command(program);
        command.args(arguments).args([listen, &address.to_string()]);
        let child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut running = Running { name: program.to_owned(), child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = running.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(format!("{program} with counters in it does not listen on {address}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// Puts a load on `url`. A run that loadgen finds invalid for measuring (3) trains as well as another.
    fn load(&self, arguments: &[&str], url: &str) -> Outcome {
        println!("training: loadgen {} {url}", arguments.join(" "));
        let mut command = self.command("loadgen");
        let insecure = url.starts_with("https").then_some("--insecure");
        let status = command.args(arguments).args(insecure).arg(url).status().map_err(|error| error.to_string())?;
        match status.code() {
            Some(0 | 3) => Ok(()),
            _ => Err(format!("loadgen {} {url}: {status}", arguments.join(" "))),
        }
    }
}

impl Running {
    /// Ends it in order, so that it writes what it counted.
    fn end(mut self) -> Outcome {
        shell::run_hushed(&mut shell::command("kill", ["-INT", &self.child.id().to_string()])).1?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} did not end in order ({status})", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
