use proptest::prelude::*;

use super::*;

fn sentence<T: fmt::Debug>(result: Result<T, BadText>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn rates_of_all_forms() {
    let of = |text| rate(text).unwrap().per_second();
    assert_eq!([of("20000/s"), of("20k/s"), of("1.5k"), of("300/min"), of(" 2M ")], [20e3, 20e3, 1500.0, 5.0, 2e6]);
    assert_eq!(of("1.1k"), 1100.0);
    for bad in ["", "k", "20k/h", "-5", "1e3", "inf", "NaN", "0", "2000M", "..", "5 apples", "5/s/s"] {
        assert!(rate(bad).is_err(), "{bad}");
    }
    assert_eq!(sentence(rate("20/day")), "`20/day` is no rate: behind the slash stands `s` or `min`, not `day`");
    assert_eq!(sentence(rate("0/s")), "`0/s` is out of range: rates go from 0.001/s to 1,000,000,000/s");
}

#[test]
fn ramps_and_steps() {
    let r = |n| Rate::new(n).unwrap();
    assert_eq!(rates("1k..50k").unwrap(), RateText::Ramp(r(1e3), r(50e3)));
    assert_eq!(rates("1k..50k/s").unwrap(), RateText::Ramp(r(1e3), r(50e3)));
    assert_eq!(rates("1k, 2k,4k").unwrap(), RateText::Steps(vec![r(1e3), r(2e3), r(4e3)]));
    assert_eq!(rates("60..120/min").unwrap(), RateText::Ramp(r(1.0), r(2.0)));
    assert_eq!(rates("5/s").unwrap(), RateText::Constant(r(5.0)));
    for bad in ["1k..", "..5", "1,,2", "1..2..3", ","] {
        assert!(rates(bad).is_err(), "{bad}");
    }
    let steps = rates("1k,2k").unwrap();
    assert_eq!(steps.over(Some(4_000_000_000)), "steps of 1,000/s, 2,000/s, 2.00 s each");
    assert_eq!(steps.plan(Some(4_000_000_000)).unwrap().requests_before(4_000_000_000), 6_000.0);
    assert_eq!(steps.plan(None), None);
    assert_eq!(steps.peak(), r(2e3));
    assert_eq!(rates("1k..50k").unwrap().over(Some(10_000_000_000)), "from 1,000/s to 50,000/s over 10.0 s");
    assert_eq!(rates("7/s").unwrap().plan(None).unwrap().end_ns(), None);
}

#[test]
fn durations() {
    let texts = ["500us", "5ms", "1.5s", "2m", "1h", "0", "30 s", "7µs"];
    let expected = [500e3, 5e6, 1.5e9, 120e9, 3600e9, 0.0, 30e9, 7e3].map(|n| n as u64);
    assert_eq!(texts.map(|t| duration_ns(t).unwrap()), expected);
    assert_eq!(sentence(duration_ns("10")), "`10` has no unit: did you mean `10s`?");
    assert_eq!(sentence(duration_ns("5 days")), "`5 days` is no duration: the units are ns, us, ms, s, m and h");
    for bad in ["", "s", "-1s", "1.2.3s", "999999999h"] {
        assert!(duration_ns(bad).is_err(), "{bad}");
    }
}

#[test]
fn sizes_and_counts() {
    assert_eq!(["64", "64B", "16KiB", "1MiB"].map(|t| size(t).unwrap()), [64, 64, 16_384, 1_048_576]);
    assert_eq!(sentence(size("1m")), "`1m` is no size: did you mean `1MiB`?");
    assert!(["", "1.5KiB", "99999999999GiB", "-1", "x"].iter().all(|bad| size(bad).is_err()));
    assert_eq!(["500", "10k", "1.5M"].map(|t| count(t).unwrap()), [500, 10_000, 1_500_000]);
    assert!(["", "1.5", "10kk", "-3", "9999999999M"].iter().all(|bad| count(bad).is_err()));
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(text in ".{0,24}") {
        let _ = (rate(&text), rates(&text), duration_ns(&text), size(&text), count(&text), share(&text));
        let _ = text.parse::<crate::Slo>();
    }
}
