//! TLS in front, with clients that break off, stall, and send garbage: nothing leaks, and the others are served.

use tests::{Client, descriptors, eventually};

use crate::tls::{Secure, secure};

/// A client whose bytes go through memory, so that each can be held back: `shaken(port, most)` shakes hands until it has sent
/// `most` bytes, in pieces of `step`; it gives the socket, the session, and how many bytes it has sent.
const PIECEMEAL: &str = "
import socket, ssl, sys
port, context = int(sys.argv[1]), ssl.create_default_context(cafile=sys.argv[2])
class Cut(Exception): pass
class Wire:
    def __init__(self, most, step=1 << 20):
        self.sock = socket.create_connection(('127.0.0.1', port), 9)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname='localhost')
        self.most, self.step, self.sent = most, step, 0
    def push(self):
        data = self.outward.read()
        while data:
            piece = data[:min(self.step, self.most - self.sent)]
            if piece: self.sock.sendall(piece)
            self.sent += len(piece)
            data = data[len(piece):]
            if data and self.sent >= self.most: raise Cut
    def run(self, step):
        while True:
            try:
                result = step()
                self.push()
                return result
            except ssl.SSLWantReadError:
                self.push()
                data = self.sock.recv(65536)
                if not data: raise Cut
                self.inward.write(data)
    def ask(self):
        self.run(lambda: self.tls.write(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'))
        text = b''
        while not text.endswith(b'over tls\\n'):
            piece = self.run(lambda: self.tls.read(65536))
            if not piece: raise Cut
            text += piece
        return text
";

/// The descriptors that are open when one client has been served.
fn at_rest(site: &Secure) -> usize {
    assert_eq!(site.curl(&[]).out, "over tls\n");
    eventually("descriptors at rest", || descriptors(site.tollgate.id()), |n| *n < 60)
}

/// No more are open than were `before`, and the next client is served.
fn back_at_rest(site: &Secure, before: usize) {
    eventually("descriptors", || descriptors(site.tollgate.id()), |n| *n <= before);
    assert_eq!(site.curl(&[]).out, "over tls\n");
}

#[test]
fn a_handshake_cut_at_every_byte_leaks_nothing() {
    let site = secure("");
    let before = at_rest(&site);
    let got = site.python(&format!(
        "{PIECEMEAL}
whole = Wire(1 << 20)
whole.run(whole.tls.do_handshake); whole.push()
# The first record of a request too: cut within it, the handshake is over and the request is not.
whole.ask()
total, cuts = whole.sent, 0
whole.sock.close()
for most in range(total):
    wire = Wire(most)
    try:
        wire.run(wire.tls.do_handshake); wire.push()
        wire.ask()
    except Cut:
        cuts += 1
    wire.sock.close()
print('cut', cuts == total and total > 400)
"
    ));
    assert_eq!(got.out, "cut True\n", "{}", got.err);
    back_at_rest(&site, before);
    assert!(!site.tollgate.process.log().contains("panicked"), "{}", site.tollgate.process.log());
    site.tollgate.stop();
}

#[test]
fn bytes_one_at_a_time_are_a_connection_like_any_other() {
    let site = secure("");
    let got = site.python(&format!(
        "{PIECEMEAL}
wire = Wire(1 << 20, 1)
wire.run(wire.tls.do_handshake); wire.push()
for n in range(2): print(wire.ask().split(b'\\r\\n')[0].decode())
"
    ));
    assert_eq!(got.out, "HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n", "{}", got.err);
}

/// A hello of 20 KB, in two records, is one like any other; one that says it has 100 KB is not read to its end.
#[test]
fn a_large_hello_is_read_and_an_oversized_one_is_not() {
    let site = secure("");
    let before = at_rest(&site);
    let got = site.python(&format!(
        "{PIECEMEAL}
context.set_alpn_protocols(['%0250d' % n for n in range(80)] + ['http/1.1'])
for step in (1 << 20, 1000):
    wire = Wire(1 << 20, step)
    wire.run(wire.tls.do_handshake); wire.push()
    print(wire.sent > 20000, wire.tls.selected_alpn_protocol(), wire.ask().split(b'\\r\\n')[0].decode())
"
    ));
    assert_eq!(got.out, "True http/1.1 HTTP/1.1 200 OK\n".repeat(2), "{}", got.err);
    let mut oversized = Vec::new();
    for number in 0..7 {
        oversized.extend_from_slice(&[0x16, 3, 1, 0x40, 0]);
        let beginning: &[u8] = if number == 0 { &[1, 1, 0x86, 0xa0, 3, 3] } else { &[] };
        oversized.extend_from_slice(beginning);
        oversized.resize(oversized.len() + (16 << 10) - beginning.len(), b'x');
    }
    let mut client = Client::connect(site.tollgate.address());
    // It may be closed before all of it was sent.
    let _ = client.try_send(&oversized);
    let (answer, _) = client.read_to_end();
    assert!(answer.is_empty() || (answer[0] == 0x15 && answer.len() < 64), "{answer:?}");
    back_at_rest(&site, before);
    site.tollgate.stop();
}

/// Damaged, oversized and misplaced records, before and after the handshake.
#[test]
fn broken_records_end_their_connection_only() {
    let site = secure("");
    let before = at_rest(&site);
    for garbage in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        &[0; 512],
        &[0xff; 70_000],
        b"\x05\x01\x00",
    ] {
        let mut client = Client::connect(site.tollgate.address());
        let _ = client.try_send(garbage);
        let _ = client.stream().shutdown(std::net::Shutdown::Write);
        let (answer, _) = client.read_to_end();
        // An alert, or nothing; never HTTP.
        assert!(answer.is_empty() || answer[0] == 0x15, "{garbage:?}: {answer:?}");
    }
    let got = site.python(&format!(
        "{PIECEMEAL}
def broken(change):
    wire = Wire(1 << 20)
    wire.run(wire.tls.do_handshake); wire.push(); wire.ask()
    wire.tls.write(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    answer = b''
    try:
        wire.sock.sendall(change(wire.outward.read()))
        wire.sock.shutdown(socket.SHUT_WR)
        while piece := wire.sock.recv(65536): answer += piece
    except OSError: pass
    assert b'HTTP' not in answer
    # At most one record, the alert.
    print(len(answer) < 64)
broken(lambda record: record[:-1] + bytes([record[-1] ^ 1]))
broken(lambda record: record[:-1])
broken(lambda record: b'\\x17\\x03\\x03\\xff\\xff' + b'a' * 65535)
broken(lambda record: record[:5])
"
    ));
    assert_eq!(got.out, "True\n".repeat(4), "{}", got.err);
    back_at_rest(&site, before);
    site.tollgate.stop();
}

/// Who says nothing, or too little, is let go of after the handshake's own time.
#[test]
fn a_silent_handshake_has_its_own_deadline() {
    let mut site = secure("");
    site.tollgate.reload(&format!("[timeouts]\ntls_handshake = \"200ms\"\n{}", crate::tls::configuration("")));
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut client = Client::connect(site.tollgate.address());
        client.send(beginning);
        // It ends within the harness's patience, while the header's time would be as long.
        client.read_to_end();
    }
    assert_eq!(site.curl(&[]).out, "over tls\n");
    site.tollgate.stop();
}
