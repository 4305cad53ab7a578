use clap::Parser;

use super::*;
use crate::arguments::Arguments;
use crate::prepare::{Kind, prepare};

fn load(arguments: &str) -> Load {
    let arguments = format!("loadgen {arguments} http://127.0.0.1:1/");
    Arguments::parse_from(arguments.split_whitespace()).load
}

fn divided(arguments: &str, descriptors: u64, ports: u64) -> Result<(usize, usize), String> {
    let load = load(arguments);
    let mut plan = prepare(&load_of_one(&load), Kind::Load).unwrap();
    plan.connections = load.connections;
    if let Some(source) = &load.source {
        plan.sources = crate::source::parse(source).unwrap();
    }
    divide_within(&mut plan, &load, Machine { descriptors, ports, memory: 8 << 30 })
        .map(|()| (plan.processes, plan.workers))
        .map_err(|problem| problem.sentence().to_owned())
}

/// The same with a single connection, which fits everywhere.
fn load_of_one(load: &Load) -> Load {
    Load { connections: 1, source: None, processes: None, ..load.clone() }
}

#[test]
fn what_fits_into_one_process_stays_there() {
    assert_eq!(divided("-c 10", 20_000, 28_000), Ok((1, 1)));
    assert_eq!(divided("-c 10 -t 4", 20_000, 28_000), Ok((1, 4)));
    assert_eq!(divided("-c 2 -t 4", 20_000, 28_000), Ok((1, 2)));
    assert_eq!(divided("-c 19950", 20_000, 28_000), Ok((1, 1)));
}

#[test]
fn more_connections_than_descriptors_make_more_processes() {
    assert_eq!(divided("-c 20000", 20_000, 28_000), Ok((2, 2)));
    assert_eq!(divided("-c 100000 --source 127.0.0.1-127.0.0.4", 20_000, 28_000), Ok((6, 6)));
    assert_eq!(divided("-c 100000 -t 8 --source 127.0.0.1-127.0.0.4", 20_000, 28_000), Ok((6, 12)));
    assert_eq!(divided("-c 10 --processes 2", 20_000, 28_000), Ok((2, 2)));
}

#[test]
fn what_does_not_fit_is_explained() {
    let error = divided("-c 1000 --processes 1", 500, 28_000).unwrap_err();
    assert_eq!(
        error,
        "--connections 1,000: a process may hold 500 descriptors here, which is room for 460 connections in one process; \
         use fewer, or give --processes 3"
    );
    let error = divided("-c 100000", 20_000, 28_000).unwrap_err();
    assert!(error.contains("28,000 local ports") && error.contains("4 source addresses"), "{error}");
}

#[test]
fn an_absurd_number_is_refused_before_anything_is_started() {
    let error = divided("-c 5000000", 20_000, 28_000).unwrap_err();
    assert_eq!(
        error,
        "--connections 5,000,000: a process may hold 20,000 descriptors here, which is room for 1,277,440 connections in 64 \
         worker processes; use fewer, or give --processes 251"
    );
    let error = divided("-c 50000000", 20_000, 28_000).unwrap_err();
    assert!(
        error.ends_with("use 5,089,800 at most (--processes 255), or raise the hard limit (ulimit -Hn)"),
        "{error}"
    );
    let error = divided("-c 5000000 --processes 255", 20_000, 28_000).unwrap_err();
    assert_eq!(
        error,
        "--connections 5,000,000: they take 20.1 GiB of memory at least, and 8.00 GiB are to be had here"
    );
}

#[test]
fn there_are_local_ports_and_memory() {
    assert!((1 << 20..u64::MAX).contains(&memory()));
    assert!((1..=65_536).contains(&local_ports()));
}
