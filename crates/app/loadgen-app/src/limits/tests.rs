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
    divide_within(&mut plan, &load, descriptors, ports)
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
    assert!(error.contains("500 descriptors") && error.contains("ulimit"), "{error}");
    let error = divided("-c 100000", 20_000, 28_000).unwrap_err();
    assert!(error.contains("28,000 local ports") && error.contains("4 source addresses"), "{error}");
}

#[test]
fn there_are_local_ports() {
    assert!((1..=65_536).contains(&local_ports()));
}
