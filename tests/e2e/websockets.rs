//! Real WebSockets: a server in Python's `websockets`, and Python and Chromium as its clients, through the proxy.

use std::{net::SocketAddr, process::Command, sync::OnceLock};

use tests::{Process, Tollgate, folder, peers, run};

use crate::{proxy_with, verdicts::counted};

/// A Python that has `websockets`; none is said. The system's own may have it where another one comes first in PATH.
fn python() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let has = |python: &&str| {
            Command::new(python).args(["-c", "import websockets"]).output().is_ok_and(|o| o.status.success())
        };
        let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
        if found.is_none() {
            eprintln!("NOT RUN: no Python here has websockets; `cargo xtask setup` installs it");
        }
        found
    })
}

/// Echoes messages, with its own pings and compression where the client offers it, and closes with the code it is asked for.
const SERVER: &str = "\
import asyncio, websockets
async def echo(ws):
    async for message in ws:
        if message == 'close': await ws.close(4001, 'as asked')
        else: await ws.send(message)
async def main():
    async with websockets.serve(echo, '127.0.0.1', 0, max_size=None, subprotocols=['chat']) as server:
        print('port', server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
";

fn server(python: &str) -> (Process, SocketAddr) {
    let server = Process::start(Command::new(python).args(["-c", SERVER]));
    let port = server.out_line(|line| line.strip_prefix("port ").and_then(|p| p.trim().parse::<u16>().ok()));
    (server, ([127, 0, 0, 1], port).into())
}

#[test]
fn python_talks_through_it() {
    let Some(python) = python() else { return };
    let (_server, address) = server(python);
    let proxy = proxy_with(&[address], "timeouts = { body = \"200ms\", tunnel = \"1h\" }");
    let client = "\
import asyncio, sys, websockets
async def main():
    for compression in [None, 'deflate']:
        async with websockets.connect(sys.argv[1], max_size=None, compression=compression, subprotocols=['chat']) as ws:
            assert ws.subprotocol == 'chat'
            for size in [0, 5, 125, 126, 65535, 65536, 3000000]:
                await ws.send('x' * size)
                assert len(await ws.recv()) == size
                await ws.send(b'y' * size)
                assert await ws.recv() == b'y' * size
            await (await ws.ping())
            await asyncio.sleep(0.5)
            await ws.send('after a silence longer than that of a body')
            assert (await ws.recv()).startswith('after')
            await ws.send('close')
            try: await ws.recv()
            except websockets.ConnectionClosed as closed: print(closed.rcvd.code, closed.rcvd.reason, flush=True)
asyncio.run(main())
";
    let url = proxy.url("/chat").replace("http://", "ws://");
    let ended = run(Command::new(python).env("NO_PROXY", "*").args(["-c", client, &url]));
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "4001 as asked\n4001 as asked"), "{}", ended.err);
    assert_eq!(counted(proxy, "UTUN"), 0, "each ended in order");
}

/// The page comes through the proxy too, and so from the origin that its WebSocket belongs to. Not run where there is no
/// Chromium, which is said.
#[test]
fn chromium_talks_through_it() {
    let Some(python) = python() else { return };
    let Some((mut browser, _profile)) = peers::chromium() else { return };
    let (_server, address) = server(python);
    // The document of the frame is held open until all is said: the browser prints the page when it is loaded.
    let page = "<!doctype html><p id=said></p><iframe></iframe><script>
        const held = document.querySelector('iframe').contentDocument, said = [];
        held.open();
        const ws = new WebSocket(location.origin.replace('http', 'ws') + '/chat', 'chat');
        ws.binaryType = 'arraybuffer';
        const sizes = [0, 125, 126, 65535, 65536, 1000000];
        const next = () => sizes.length ? ws.send('x'.repeat(sizes[0])) : ws.send(new Uint8Array(300000));
        ws.onopen = () => { said.push('opened as ' + ws.protocol); next(); };
        ws.onmessage = ({ data }) => {
            if (typeof data === 'string') { said.push(data.length === sizes.shift() ? 'ok' : 'wrong'); next(); }
            else { said.push(data.byteLength); ws.send('close'); }
        };
        ws.onerror = () => said.push('error');
        ws.onclose = e => {
            said.push(`closed with ${e.code}, ${e.reason}, clean: ${e.wasClean}`);
            document.querySelector('#said').textContent = said.join('; ');
            held.close();
        };
    </script>";
    let root = folder();
    std::fs::write(root.path().join("index.html"), page).expect("a file of ours");
    let text = format!(
        "[[route]]\npath = \"/chat\"\nproxy = {{ upstream = \"chat\" }}\n[[route]]\nfiles = {{ root = {:?} }}\n\
         [upstream.chat]\nservers = [\"{address}\"]\n",
        root.path()
    );
    let proxy = Tollgate::config(&text);
    let shown = run(browser.arg(proxy.url("/")));
    let said = "opened as chat; ok; ok; ok; ok; ok; ok; 300000; closed with 4001, as asked, clean: true";
    assert!(shown.out.contains(said), "{}\n{}", shown.out, shown.err);
}
