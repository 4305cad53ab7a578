//! Real servers behind the proxy, and a real proxy on either side of it.

use tests::{Client, peers, peers::curl};

use crate::{files, proxy_with};

/// GETs, HEADs, ranges and conditions through the proxy give what the origin itself gives.
fn same_as_direct(origin: &peers::Peer, paths: &[&str]) {
    let proxy = proxy_with(&[origin.address], "");
    let mut through = Client::connect(proxy.address());
    for path in paths {
        for lines in ["", "Range: bytes=2-5\r\n", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let direct = Client::connect(origin.address).ask(&request);
            let proxied = through.ask(&request);
            assert_eq!((proxied.status, proxied.complete), (direct.status, true), "{path} {lines}");
            assert!(proxied.body == direct.body, "{path} {lines}");
            for name in ["content-type", "content-range", "etag", "last-modified", "location", "server"] {
                assert_eq!(proxied.field(name), direct.field(name), "{name} of {path} {lines}");
            }
        }
        through.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(through.reply_to_head().complete);
    }
}

#[test]
fn nginx_behind() {
    let root = files::site();
    let nginx = peers::nginx(root.path(), "gzip on; gzip_types *; gzip_min_length 1;");
    same_as_direct(&nginx, &["/", "/ten.txt", "/docs/", "/docs/large.bin", "/none", "/empty.txt"]);
    let proxy = proxy_with(&[nginx.address], "");
    let got = curl(["--compressed", &proxy.url("/style.css")]);
    assert_eq!(got.out, "body { margin: 0 }\n", "compressed on the fly, in chunks: {}", got.err);
}

#[test]
fn python_behind() {
    let root = files::site();
    let python = peers::python(root.path());
    same_as_direct(&python, &["/ten.txt", "/docs/large.bin", "/none"]);
}

#[test]
fn node_behind_with_a_kept_connection() {
    let node = peers::node(
        "let size = 0; request.on('data', (d) => { size += d.length; });
         request.on('end', () => { response.setHeader('X-Port', request.socket.remotePort);
           response.end(request.method + ' ' + request.url + ' ' + size); });",
    );
    let proxy = proxy_with(&[node.address], "");
    let mut ports = Vec::new();
    for i in 0..20 {
        let mut client = Client::connect(proxy.address());
        let request = match i % 3 {
            0 => "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            1 => "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            _ => "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        };
        let reply = client.ask(request);
        assert_eq!(reply.text(), if i % 3 == 0 { "GET /x 0" } else { "POST /x 5" });
        ports.push(reply.field("x-port").expect("the port"));
    }
    ports.dedup();
    assert_eq!(ports.len(), 1, "twenty clients, one connection to the origin: {ports:?}");
}

#[test]
fn node_streams_in_chunks_with_trailers() {
    let node = peers::node(
        "response.writeHead(200, { Trailer: 'X-End' }); response.write('one,'); response.write('two');
         response.addTrailers({ 'X-End': 'yes' }); response.end();",
    );
    let proxy = proxy_with(&[node.address], "");
    let reply = Client::connect(proxy.address()).ask("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_eq!((reply.text(), reply.trailers), ("one,two".into(), "X-End: yes\r\n".into()));
}

#[test]
fn haproxy_in_front_and_behind() {
    let root = files::site();
    let nginx = peers::nginx(root.path(), "");
    let behind = peers::haproxy(&[nginx.address]);
    let proxy = proxy_with(&[behind.address], "");
    let front = peers::haproxy(&[proxy.address()]);
    let to = root.path().join("received");
    for _ in 0..3 {
        let got = curl(["-o", to.to_str().expect("text"), &front.url("/docs/large.bin")]);
        assert_eq!(got.code, Some(0), "{}", got.err);
        assert!(std::fs::read(&to).expect("received") == files::large());
    }
    let reply = Client::connect(front.address).get("/ten.txt");
    assert_eq!((reply.status, reply.text()), (200, "0123456789".into()));
    assert_eq!(reply.field("via").as_deref(), Some("1.1 tollgate"));
    let reply = Client::connect(front.address).ask("POST /ten.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(reply.status, 405, "nginx's own");
}

#[test]
fn servers_take_turns() {
    let nodes = ["one", "two", "three"].map(|name| peers::node(&format!("response.end('{name}')")));
    let proxy = proxy_with(&nodes.each_ref().map(|n| n.address), "");
    let mut client = Client::connect(proxy.address());
    let said: Vec<String> = (0..9).map(|_| client.get("/").text()).collect();
    for name in ["one", "two", "three"] {
        assert_eq!(said.iter().filter(|s| *s == name).count(), 3, "{said:?}");
    }
    assert_eq!(said[..3], said[3..6]);
}
