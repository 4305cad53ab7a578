//! Whole answers: the same bytes as from their parts.

use std::rc::Rc;

use buf::OutQueue;
use http1::{ResponseEncoder, Whole};

use crate::encoders::{drain, fields};
use crate::requests::head_of;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn a_whole_answer_is_the_same_as_its_parts() {
    let lines = [&[][..], &[("X", "y"), ("ETag", "\"1\"")], &[("Date", "Sun, 06 Nov 1994 08:49:36 GMT")]];
    for line in ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"] {
        for more in ["", "Connection: close\r\n", "Connection: keep-alive\r\n"] {
            let (request, _) = head_of(format!("{line}\r\nHost: a\r\n{more}\r\n").as_bytes());
            for (status, lines) in [200, 204, 304, 404, 599].into_iter().flat_map(|s| lines.map(|lines| (s, lines))) {
                for (len, close) in
                    [0, 1, 1024, 3072, 3073, 4096, 20_000].into_iter().flat_map(|n| [(n, false), (n, true)])
                {
                    let body: Rc<[u8]> = (0..len).map(|n| (n % 251) as u8).collect();
                    let answer = Whole::new(status, fields(lines), Rc::clone(&body));
                    assert_eq!((answer.head().status, &**answer.body()), (status, &*body));
                    let mut out = OutQueue::new();
                    let mut parts = ResponseEncoder::new(&request);
                    parts.head(&mut out, answer.head(), DATE, close);
                    parts.data_cached(&mut out, &body, 0..len).and_then(|()| parts.end(&mut out, None)).unwrap();
                    let want = drain(&mut out);
                    let mut encoder = ResponseEncoder::new(&request);
                    // Behind another answer as in an empty queue.
                    out.put(&[b'-'; 3000]);
                    encoder.whole(&mut out, &answer, DATE, close);
                    assert!(drain(&mut out)[3000..] == want, "{line} {more} {status} {len} {close}");
                    let mut alone = ResponseEncoder::new(&request);
                    alone.whole(&mut out, &answer, DATE, close);
                    assert!(drain(&mut out) == want && alone.finished() && encoder.finished());
                    assert_eq!(encoder.keep_alive(), parts.keep_alive());
                }
            }
        }
    }
}
