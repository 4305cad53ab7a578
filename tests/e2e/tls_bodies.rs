//! Large bodies and many requests over TLS, in front and behind.

use std::{fs, path::Path};

use tests::{Authority, Ended, Process, Tollgate, folder, peers::curl};

/// Bytes of which no two places are the same.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes as u64 / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

struct World {
    proxy: Tollgate,
    _origin: Process,
}

/// A proxy over TLS, with a folder of its own, in front of a Node server over TLS that sends back what it gets.
fn world() -> World {
    let folder = folder();
    let here = folder.path();
    let authority = Authority::new("bodies");
    authority.write(here, "ca");
    authority.issue(&["localhost", "127.0.0.1"]).write(here, "site");
    fs::create_dir(here.join("www")).expect("a folder of ours");
    fs::write(here.join("www/large"), pattern(24 << 20)).expect("a file of ours");
    fs::write(here.join("www/small"), "small\n").expect("a file of ours");
    let script = format!(
        "const fs = require('fs');\n\
         const server = require('https').createServer({{ cert: fs.readFileSync({:?}), key: fs.readFileSync({:?}) }},\n\
         (request, response) => request.pipe(response));\n\
         server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));",
        here.join("site.pem"),
        here.join("site.key")
    );
    let origin = Process::start(std::process::Command::new("node").arg("-e").arg(script));
    let port = origin.out_line(|line| line.strip_prefix("port ").and_then(|p| p.trim().parse::<u16>().ok()));
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
         certificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
         [[route]]\npath = \"/echo\"\nproxy = {{ upstream = \"echo\" }}\nbody_bytes = \"0\"\n\
         [[route]]\nfiles = {{ root = \"www\" }}\n\
         [upstream.echo]\nservers = [\"https://localhost:{port}\"]\ntls = {{ ca = \"ca.pem\" }}\n"
    );
    World { proxy: Tollgate::config_in(folder, &text), _origin: origin }
}

impl World {
    fn folder(&self) -> &Path {
        self.proxy.folder()
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Ended {
        let ca = self.folder().join("ca.pem").to_str().expect("text").to_owned();
        let url = self.proxy.url(path);
        curl(["--cacert", &ca].into_iter().chain(arguments.iter().copied()).chain([url.as_str()]))
    }
}

#[test]
fn a_large_file_arrives_as_it_is_in_both_versions() {
    let world = world();
    let got = world.folder().join("got");
    let got_text = got.to_str().expect("text");
    for version in ["1.2", "1.3"] {
        let ended = world.curl(&["--tls-max", version, "-o", got_text], "/large");
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(fs::read(&got).expect("it is there") == pattern(24 << 20), "{version}: not the same bytes");
    }
    // A reader that stops now and then, and one that goes away.
    let slow = world.curl(&["--limit-rate", "12M", "-o", got_text], "/large");
    assert_eq!(slow.code, Some(0), "{}", slow.err);
    let gone = world.curl(&["--max-filesize", "1000", "-o", got_text], "/large");
    assert_eq!(gone.code, Some(63), "{}", gone.err);
    assert_eq!(world.curl(&[], "/small").out, "small\n");
    world.proxy.stop();
}

#[test]
fn a_large_body_goes_to_a_server_over_tls_and_back() {
    let world = world();
    let (sent, got) = (world.folder().join("www/large"), world.folder().join("got"));
    let data = format!("@{}", sent.display());
    let arguments = ["--data-binary", &data, "-H", "Expect:", "-o", got.to_str().expect("text")];
    for framing in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
        let ended = world.curl(&[&arguments[..], framing].concat(), "/echo");
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(fs::read(&got).expect("it is there") == pattern(24 << 20), "not the same bytes");
    }
    world.proxy.stop();
}

/// Requests that come in one record are answered in order; their heads may also lie across records.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = world();
    let program = "import re, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
s = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 9), server_hostname='localhost')
def request(path): return b'GET ' + path + b' HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'
def read(n):
    data = b''
    while data.count(b'HTTP/1.1 ') < n or not data.endswith(b'small\\n'):
        piece = s.recv(65536)
        assert piece, data
        data += piece
    return [status.decode() for status in re.findall(rb'HTTP/1.1 (\\d+)', data)]
s.sendall((request(b'/small') + request(b'/none')) * 40 + request(b'/small'))
print(read(81) == ['200', '404'] * 40 + ['200'])
for piece in (request(b'/small')[n:n + 1] for n in range(len(request(b'/small')))): s.sendall(piece)
print(read(1))
";
    let port = world.proxy.address().port().to_string();
    let ca = world.folder().join("ca.pem");
    let got = tests::run(std::process::Command::new("python3").args(["-c", program, &port]).arg(ca));
    assert_eq!(got.out, "True\n['200']\n", "{}", got.err);
}
