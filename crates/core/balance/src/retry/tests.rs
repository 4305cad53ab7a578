use proptest::prelude::*;

use super::*;

const NOW: Tick = Tick(77);

fn on(words: &[&str]) -> RetryOn {
    let mut on = RetryOn::nothing();
    words.iter().for_each(|w| on.add(w).expect("a known word"));
    on
}

/// A GET on a new connection of which nothing was written.
fn failed(cause: Cause) -> FailedTry {
    FailedTry {
        cause,
        attempt: 1,
        idempotent: true,
        request_bytes_written: false,
        replayable: true,
        reused: false,
        fresh_tried: false,
        answer_bytes_read: false,
        answer_begun: false,
    }
}

fn decide(policy: &RetryPolicy, failed: FailedTry) -> Decision {
    policy.decide(&failed, &mut RetryBudget::new(1.0, 100, NOW), NOW)
}

#[test]
fn the_default_retries_connect_and_reset_once() {
    let policy = RetryPolicy::default();
    let not_listed = Decision::GiveUp(GiveUp::NotListed);
    for (cause, expected) in [
        (Cause::Connect, Decision::Retry),
        (Cause::Reset, Decision::Retry),
        (Cause::Timeout, not_listed),
        (Cause::Status(502), not_listed),
    ] {
        assert_eq!(decide(&policy, failed(cause)), expected, "{cause:?}");
        let second = FailedTry { attempt: 2, ..failed(cause) };
        assert!(matches!(decide(&policy, second), Decision::GiveUp(_)), "{cause:?}");
    }
}

#[test]
fn attempts_count_the_first() {
    for attempts in [0, 1] {
        let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
        assert_eq!(decide(&policy, failed(Cause::Connect)), Decision::GiveUp(GiveUp::AttemptsSpent));
    }
    let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let tries = [1, 2, 3].map(|attempt| decide(&policy, FailedTry { attempt, ..failed(Cause::Connect) }));
    assert_eq!(tries, [Decision::Retry, Decision::Retry, Decision::GiveUp(GiveUp::AttemptsSpent)]);
}

#[test]
fn a_post_is_retried_only_while_nothing_of_it_was_written() {
    let policy = RetryPolicy::default();
    let post = FailedTry { idempotent: false, ..failed(Cause::Connect) };
    assert_eq!(decide(&policy, post), Decision::Retry);
    let written = FailedTry { request_bytes_written: true, cause: Cause::Reset, ..post };
    assert_eq!(decide(&policy, written), Decision::GiveUp(GiveUp::NotIdempotent));
    let all = RetryPolicy { idempotent_only: false, ..policy };
    assert_eq!(decide(&all, written), Decision::Retry);
}

#[test]
fn a_dead_reused_connection_is_replaced_once_outside_attempts_and_budget() {
    let policy = RetryPolicy { attempts: 1, on: RetryOn::nothing(), ..RetryPolicy::default() };
    let mut broke = RetryBudget::new(0.0, 0, NOW);
    let dead = FailedTry { reused: true, request_bytes_written: true, ..failed(Cause::Reset) };
    assert_eq!(policy.decide(&dead, &mut broke, NOW), Decision::FreshConnection);

    let again = FailedTry { fresh_tried: true, ..dead };
    assert_eq!(policy.decide(&again, &mut broke, NOW), Decision::GiveUp(GiveUp::NotListed));
    let spoke = FailedTry { answer_bytes_read: true, ..dead };
    assert_eq!(policy.decide(&spoke, &mut broke, NOW), Decision::GiveUp(GiveUp::NotListed));
    let post = FailedTry { idempotent: false, ..dead };
    assert_eq!(policy.decide(&post, &mut broke, NOW), Decision::GiveUp(GiveUp::NotIdempotent));
    let slow = FailedTry { cause: Cause::Timeout, ..dead };
    assert_eq!(policy.decide(&slow, &mut broke, NOW), Decision::GiveUp(GiveUp::NotListed));
}

#[test]
fn nothing_is_tried_again_behind_an_answer_or_without_the_body() {
    let policy = RetryPolicy { attempts: 9, idempotent_only: false, ..RetryPolicy::default() };
    for reused in [false, true] {
        let begun = FailedTry { answer_begun: true, reused, ..failed(Cause::Reset) };
        assert_eq!(decide(&policy, begun), Decision::GiveUp(GiveUp::AnswerBegun));
        let gone = FailedTry { replayable: false, reused, ..failed(Cause::Reset) };
        assert_eq!(decide(&policy, gone), Decision::GiveUp(GiveUp::NotReplayable));
    }
}

#[test]
fn the_budget_is_asked_last_and_only_a_retry_takes_from_it() {
    let policy = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
    let mut budget = RetryBudget::new(0.0, 2, NOW);
    let refused = FailedTry { attempt: 2, ..failed(Cause::Connect) };
    for _ in 0..10 {
        assert_eq!(policy.decide(&refused, &mut budget, NOW), Decision::GiveUp(GiveUp::AttemptsSpent));
    }
    let decisions = [0; 3].map(|_| policy.decide(&failed(Cause::Connect), &mut budget, NOW));
    assert_eq!(decisions, [Decision::Retry, Decision::Retry, Decision::GiveUp(GiveUp::BudgetSpent)]);
}

#[test]
fn the_words_of_the_configuration_mean_what_they_say() {
    let some = on(&["timeout", "502", "429"]);
    assert!(some.covers(Cause::Timeout) && some.covers(Cause::Status(502)) && some.covers(Cause::Status(429)));
    assert!(!some.covers(Cause::Connect) && !some.covers(Cause::Reset) && !some.covers(Cause::Status(503)));
    let policy = RetryPolicy { on: on(&["5xx"]), ..RetryPolicy::default() };
    let covered: Vec<u16> = (0..=u16::MAX).filter(|s| policy.retries_status(*s)).collect();
    assert_eq!(covered, (500..600).collect::<Vec<_>>());
    let status = |s| decide(&policy, FailedTry { request_bytes_written: true, ..failed(Cause::Status(s)) });
    assert_eq!(status(503), Decision::Retry);
    assert_eq!(status(404), Decision::GiveUp(GiveUp::NotListed));
    for wrong in ["", "Connect", "6xx", "2xx", "xx5", "200", "600", "+50", "0502", "5XX", "50", "connect,reset"] {
        let mut on = RetryOn::nothing();
        assert_eq!(on.add(wrong), Err(UnknownCause), "{wrong}");
        assert_eq!(on, RetryOn::nothing());
    }
}

proptest! {
    /// Whatever the policy, nothing unsafe is repeated.
    #[test]
    fn what_could_act_twice_is_never_sent_twice(
        cause in prop::sample::select(vec![Cause::Connect, Cause::Reset, Cause::Timeout, Cause::Status(500)]),
        attempt in 1u32..5, attempts in 0u32..5,
        flags in prop::array::uniform7(any::<bool>()),
    ) {
        let [idempotent, request_bytes_written, replayable, reused, fresh_tried, answer_bytes_read, answer_begun] = flags;
        let try_ = FailedTry {
            cause, attempt, idempotent, request_bytes_written, replayable, reused, fresh_tried, answer_bytes_read,
            answer_begun,
        };
        let policy = RetryPolicy { attempts, on: on(&["connect", "reset", "timeout", "5xx"]), ..RetryPolicy::default() };
        let decision = decide(&policy, try_);
        if !matches!(decision, Decision::GiveUp(_)) {
            prop_assert!(!answer_begun && replayable && (idempotent || !request_bytes_written));
        }
        match decision {
            Decision::Retry => prop_assert!(attempt < attempts),
            Decision::FreshConnection => prop_assert!(reused && !fresh_tried && !answer_bytes_read),
            Decision::GiveUp(why) => prop_assert!(!why.reason().is_empty()),
        }
    }
}
