use std::task::Waker;

use load::{Arrivals, Rate, RatePlan, Schedule};

use super::*;

const BEGIN: u64 = 1_000_000_000;
const STEP: u64 = 10_000_000;

/// 100 sends a second for so many of them.
fn sends(count: u64) -> Schedule {
    let plan = RatePlan::steps(&[Rate::clamped(100.0)], count * STEP);
    Schedule::new(plan, Arrivals::Constant, 1)
}

fn open(counts: &[u64], connections: &[u16]) -> Pacer {
    Pacer::new(&Pace::Open(counts.iter().map(|n| sends(*n)).collect()), connections)
}

fn granted(pacer: &Pacer, number: usize) -> Poll<Option<Leave>> {
    pacer.poll_granted(&mut Context::from_waker(Waker::noop()), number)
}

fn hand_out(pacer: &Pacer, now: u64) {
    pacer.lines().iter().for_each(|line| line.hand_out(now));
}

#[test]
fn a_closed_loop_gives_leave_at_once_until_the_count_is_used_up() {
    let pacer = Pacer::new(&Pace::Closed(Some(2)), &[0]);
    assert_eq!(pacer.take(0, 7), Some(Leave { planned: 7, lag: 0 }));
    assert!(!pacer.is_over(0) && !pacer.is_open());
    assert!(pacer.take(0, 8).is_some() && pacer.is_over(0));
    assert_eq!(pacer.take(0, 9), None);
    assert_eq!(granted(&pacer, 0), Poll::Ready(None));

    let endless = Pacer::new(&Pace::Closed(None), &[0]);
    assert!(endless.take(0, 1).is_some());
    endless.stop();
    assert!(endless.take(0, 2).is_none() && endless.is_over(0));
}

#[test]
fn before_the_beginning_nothing_is_due_and_nothing_is_over() {
    let pacer = open(&[3], &[0]);
    assert_eq!(pacer.take(0, BEGIN), None);
    assert!(!pacer.is_over(0));
}

#[test]
fn what_is_due_goes_to_whoever_asks_and_its_wait_for_an_answer_is_not_our_lateness() {
    let pacer = open(&[3], &[0, 0]);
    pacer.begin(BEGIN);
    // All connections were busy until now: three sends are due, none of them late by our fault.
    let now = BEGIN + 5 * STEP;
    for n in 0..3 {
        assert_eq!(pacer.take(0, now), Some(Leave { planned: BEGIN + n * STEP, lag: 0 }));
    }
    assert_eq!(pacer.take(0, now), None);
    assert!(pacer.is_over(0));
}

#[test]
fn the_line_is_served_from_its_front_and_lateness_is_ours() {
    let pacer = open(&[3], &[0, 0, 0]);
    pacer.begin(BEGIN);
    [2, 0, 0].into_iter().for_each(|number| pacer.queue(number));
    hand_out(&pacer, BEGIN + 5);
    assert_eq!(granted(&pacer, 2), Poll::Ready(Some(Leave { planned: BEGIN, lag: 5 })));
    assert_eq!(granted(&pacer, 0), Poll::Pending);
    // While somebody is in line, a send that another connection takes late is our fault as well.
    assert_eq!(pacer.take(1, BEGIN + STEP + 3).map(|leave| leave.lag), Some(3));
    hand_out(&pacer, BEGIN + 2 * STEP);
    assert_eq!(granted(&pacer, 0), Poll::Ready(Some(Leave { planned: BEGIN + 2 * STEP, lag: 0 })));
    assert_eq!(granted(&pacer, 0), Poll::Ready(None), "the plan is at its end");
}

/// A stall of ours leaves more behind than those in line can take: the rest is late by our fault, too.
#[test]
fn what_a_stall_of_ours_left_behind_is_late_by_our_fault() {
    let pacer = open(&[6], &[0]);
    pacer.begin(BEGIN);
    pacer.queue(0);
    let woke = BEGIN + 3 * STEP + 1;
    hand_out(&pacer, woke);
    assert_eq!(granted(&pacer, 0), Poll::Ready(Some(Leave { planned: BEGIN, lag: woke - BEGIN })));
    for n in 1..4 {
        let planned = BEGIN + n * STEP;
        // That the answers took another while is no fault of ours.
        assert_eq!(pacer.take(0, woke + n * STEP), Some(Leave { planned, lag: woke - planned }));
    }
    assert_eq!(pacer.take(0, woke + 4 * STEP), Some(Leave { planned: BEGIN + 4 * STEP, lag: 0 }), "due after that");
}

#[test]
fn leave_comes_back_from_a_connection_that_goes_away() {
    let pacer = open(&[2], &[0, 0]);
    pacer.begin(BEGIN);
    pacer.queue(0);
    pacer.queue(1);
    assert_eq!(pacer.leave_line(0), None);
    hand_out(&pacer, BEGIN);
    assert_eq!(granted(&pacer, 0), Poll::Pending, "it stood in line no more");
    assert_eq!(pacer.leave_line(1), Some(Leave { planned: BEGIN, lag: 0 }));
}

#[test]
fn an_origin_that_is_busy_takes_nothing_from_the_others_nor_gives_them_its_own() {
    let pacer = open(&[4, 2], &[0, 1, 0]);
    pacer.begin(BEGIN);
    let end = BEGIN + 10 * STEP;
    // Nobody asks for origin 0; connection 1 gets the two of its own and no more.
    assert_eq!(std::iter::from_fn(|| pacer.take(1, end)).count(), 2);
    assert!(pacer.is_over(1) && !pacer.is_over(0));
    assert_eq!(pacer.planned_until(BEGIN + STEP), 4);
    assert_eq!(pacer.planned_until(end), 2);
    assert_eq!(pacer.backlog(), 4);
    assert_eq!(std::iter::from_fn(|| pacer.take(2, end)).count(), 4);
    assert_eq!(pacer.backlog(), 0);
}

#[test]
fn a_plan_without_connections_is_another_workers() {
    let pacer = open(&[5, 5], &[0]);
    pacer.begin(BEGIN);
    assert_eq!((pacer.planned_until(BEGIN + 10 * STEP), pacer.backlog()), (5, 5));
}

#[test]
fn whoever_waits_when_it_is_stopped_is_told() {
    let pacer = open(&[1000], &[0]);
    pacer.begin(BEGIN);
    pacer.queue(0);
    assert_eq!(granted(&pacer, 0), Poll::Pending);
    pacer.stop();
    assert_eq!(granted(&pacer, 0), Poll::Ready(None));
    assert!(pacer.is_over(0) && pacer.take(0, u64::MAX).is_none());
}
