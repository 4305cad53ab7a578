//! The order of what is written, and what is held meanwhile.

use std::os::fd::OwnedFd;

use super::*;

fn drain(q: &mut OutQueue, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 4];
        let Front::Bytes(n) = q.front(&mut slices) else { return all };
        let piece: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).take(step).collect();
        q.advance(piece.len() as u64);
        all.extend(piece);
    }
}

#[test]
fn order_is_kept_whatever_the_pieces() {
    for step in [1, 7, 4096, 100_000] {
        let mut q = OutQueue::new();
        let mut want = Vec::new();
        let big = vec![b'x'; 5000];
        let cached: Rc<[u8]> = vec![b'c'; 3000].into();
        for i in 0..20u8 {
            q.put(&[i; 700]);
            want.extend([i; 700]);
            q.push_shared(Shared::copy_of(&big));
            want.extend(&big);
            q.push_cached(&cached, 10..3000);
            want.extend(&cached[10..]);
        }
        assert_eq!(q.len(), want.len() as u64);
        assert!(drain(&mut q, step) == want);
        assert!(q.is_empty());
    }
    assert_eq!(crate::stats().leased, 0);
}

#[test]
fn what_few_bytes_stand_between_parts_of_a_file_takes_no_buffer() {
    let (end, _) = std::io::pipe().expect("a pipe");
    let file = Rc::new(File::from(OwnedFd::from(end)));
    let heads: Rc<[u8]> = vec![b'h'; 3200].into();
    let mut q = OutQueue::new();
    q.put(b"HTTP/1.1 206 Partial Content\r\n\r\n");
    for part in 0..32 {
        q.push_cached(&heads, 100 * part..100 * part + 100);
        q.push_file(FileRange { file: Rc::clone(&file), offset: 0, len: 1 });
    }
    q.push_cached(&heads, 3190..3200);
    q.push_cached(&heads, 7..7);
    assert_eq!((q.len(), crate::stats().leased), (32 + 3200 + 32 + 10, 1));
    let (mut bytes, mut files) = (0, 0);
    loop {
        let mut slices = [IoSlice::new(&[]); 4];
        let n = match q.front(&mut slices) {
            Front::Empty => break,
            Front::Bytes(n) => slices[..n].iter().map(|slice| slice.len() as u64).sum::<u64>().div_ceil(2),
            Front::File(range) => {
                files += range.len;
                q.advance(1);
                continue;
            }
        };
        bytes += n;
        q.advance(n);
    }
    assert_eq!((bytes, files, q.len()), (32 + 3200 + 10, 32, 0));
}

#[test]
fn a_head_behind_a_part_of_a_file_takes_a_small_buffer() {
    let (end, _) = std::io::pipe().expect("a pipe");
    let file = Rc::new(File::from(OwnedFd::from(end)));
    // Pipelined answers, each with a head and a byte of a file; the heads are written in all ways there are.
    let head = [b'h'; 300];
    let put: [fn(&mut OutQueue, &[u8]); 3] = [
        |q, head| q.put(head),
        |q, head| q.put_parts([&head[..100], &head[100..]]),
        |q, head| {
            let write = |memory: &mut [u8]| {
                memory[..head.len()].copy_from_slice(head);
                Ok::<_, ()>(head.len())
            };
            q.write_with(head.len(), write).expect("it is written");
        },
    ];
    for put in put {
        let mut q = OutQueue::new();
        for _ in 0..10 {
            put(&mut q, &head);
            q.push_file(FileRange { file: Rc::clone(&file), offset: 0, len: 1 });
        }
        let held = |chunk: &Chunk| if let Chunk::Copied(copied) = chunk { copied.buf.capacity() } else { 0 };
        let rest: usize = q.rest.as_ref().expect("files").0.iter().map(held).sum();
        assert_eq!((rest, q.len()), (9 * 2048, 3010));
        // What is larger gets room, and so does a burst behind it.
        put(&mut q, &[b'x'; 5000]);
        put(&mut q, &head);
        let last = q.rest.as_ref().and_then(|rest| rest.0.back()).map(held);
        assert_eq!(last, Some(16384));
    }
}

#[test]
fn parts_are_put_in_order_wherever_the_buffer_ends() {
    for before in [0, 1, 4000, 4090, 4096, 5000] {
        let mut q = OutQueue::new();
        q.put_parts([b"", b""]);
        assert_eq!(crate::stats().leased, 0);
        q.put(&vec![b'.'; before]);
        q.put_parts([b"HTTP/1.1 ", b"", b"200", b" OK\r\n"]);
        q.put_parts([&[b'x'; 20_000], b"y"]);
        let want = [vec![b'.'; before], b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 20_000], b"y".to_vec()].concat();
        assert_eq!(q.len(), want.len() as u64);
        assert!(drain(&mut q, 1000) == want, "{before}");
    }
    assert_eq!(crate::stats().leased, 0);
}

#[test]
fn what_comes_behind_a_file_stays_behind_it() {
    // The queue never reads it, so any descriptor will do.
    let (end, _) = std::io::pipe().expect("a pipe");
    let file = Rc::new(File::from(OwnedFd::from(end)));
    let mut q = OutQueue::new();
    q.push_file(FileRange { file: Rc::clone(&file), offset: 0, len: 10 });
    q.put(b"behind");
    q.put_parts([b" ", b"it"]);
    assert_eq!(q.len(), 19);
    assert!(q.has_file());
    assert!(matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::File(range) if range.len == 10));
    q.advance(4);
    assert!(matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::File(range) if range.offset == 4));
    q.advance(6);
    assert!(!q.has_file());
    assert_eq!(drain(&mut q, 2), b"behind it");
    // The queue begins anew, with a head before the file this time.
    q.put(b"head");
    q.push_file(FileRange { file, offset: 0, len: 1 });
    assert!(matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::Bytes(1)));
    q.clear();
    assert!(q.is_empty() && matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::Empty));
    assert_eq!(crate::stats().leased, 0);
}

#[test]
fn a_head_and_a_small_body_are_one_slice() {
    let mut q = OutQueue::new();
    q.put(b"HTTP/1.1 200 OK\r\n\r\n");
    q.push_shared(Shared::copy_of(b"hello"));
    assert!(matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::Bytes(1)));
}

#[test]
fn what_is_written_in_place_is_queued_like_what_is_copied() {
    let write = |q: &mut OutQueue, room: usize, bytes: &[u8]| {
        q.write_with(room, |memory| {
            assert!(memory.len() >= room.min(64 << 10));
            memory[..bytes.len()].copy_from_slice(bytes);
            Ok::<_, ()>(bytes.len())
        })
    };
    let (end, _) = std::io::pipe().expect("a pipe");
    let file = Rc::new(File::from(OwnedFd::from(end)));
    for before in [0, 1, 3000, 4096, 5000, 20_000] {
        for room in [0, 5, 4000, 5000, 70_000] {
            let mut q = OutQueue::new();
            q.put(&vec![b'.'; before]);
            assert_eq!(write(&mut q, room, &b"head."[..room.min(5)]), Ok(()));
            q.put(b"body");
            q.push_file(FileRange { file: Rc::clone(&file), offset: 0, len: 3 });
            assert_eq!(write(&mut q, room, &b"next."[..room.min(5)]), Ok(()));
            let begin = [&vec![b'.'; before][..], &b"head."[..room.min(5)], b"body"].concat();
            assert_eq!(q.len(), (begin.len() + 3 + room.min(5)) as u64);
            assert_eq!(drain(&mut q, 1000), begin, "{before} {room}");
            q.advance(3);
            assert_eq!(drain(&mut q, 1000), b"next."[..room.min(5)]);
        }
    }
    assert_eq!(crate::stats().leased, 0);
}

#[test]
fn what_was_written_before_an_error_is_not_queued() {
    for before in [0, 10, 4096, 5000] {
        let mut q = OutQueue::new();
        q.put(&vec![b'.'; before]);
        let leased = crate::stats().leased;
        let failed = q.write_with(100, |memory| {
            memory[..4].copy_from_slice(b"lost");
            Err::<usize, _>("an error")
        });
        assert_eq!(failed, Err("an error"));
        assert_eq!((q.len(), crate::stats().leased), (before as u64, leased));
        q.put(b"kept");
        assert_eq!(drain(&mut q, 1000), [&vec![b'.'; before][..], b"kept"].concat());
    }
    assert_eq!(crate::stats().leased, 0);
}
