use super::*;
use std::net::IpAddr;

const A: &str = "192.0.2.1";
const B: &str = "198.51.100.7";
const DAY_MS: u64 = 24 * 3_600_000;

struct Bench {
    throttle: Throttle,
    at: u64,
}

// OA-132
#[test]
fn five_quick_tries_then_delays_that_double_up_to_a_minute() {
    let mut bench = bench();
    assert_eq!([0; 5].map(|_| bench.admit("ann", A)), [Ok(()); 5]);
    for delay in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert_eq!(bench.admit("ann", A), Err(delay));
        bench.at += delay * 1000 - 1;
        assert_eq!(bench.admit("ann", A), Err(1), "a refusal does not lengthen the wait");
        bench.at += 1;
        assert_eq!(bench.admit("ann", A), Ok(()), "{delay}");
    }
}

// T-15
#[test]
fn the_right_password_works_after_the_delay_and_starts_anew() {
    let mut bench = bench();
    let refused: Vec<u64> = (0..100).filter_map(|_| bench.admit("ann", A).err()).collect();
    assert_eq!(refused, [1; 95]);
    bench.at += 1000;
    assert_eq!(bench.admit("ann", A), Ok(()));
    bench.succeeded("ann", A);
    assert_eq!([0; 5].map(|_| bench.admit("ann", A)), [Ok(()); 5]);
    assert_eq!(bench.admit("ann", A), Err(1));
}

// T-15
#[test]
fn a_flood_from_one_address_keeps_nobody_out_elsewhere() {
    let mut bench = bench();
    for _ in 0..60_000 {
        let _refused = bench.admit("ann", A);
        bench.at += 10;
    }
    assert_eq!([0; 5].map(|_| bench.admit("ann", B)), [Ok(()); 5]);
    assert_eq!(bench.admit("bob", B), Ok(()));
    assert_eq!(bench.admit("bob", A), Ok(()), "nor another user there");
}

#[test]
fn success_at_one_address_does_not_help_another() {
    let mut bench = bench();
    for _ in 0..6 {
        let _refused = bench.admit("ann", A);
    }
    bench.succeeded("ann", B);
    assert_eq!(bench.admit("ann", A), Err(1));
}

#[test]
fn an_address_has_thirty_tries_a_minute_whoever_is_tried() {
    let mut bench = bench();
    for user in 0..30 {
        assert_eq!(bench.admit(&format!("user{user}"), "2001:db8::1"), Ok(()));
    }
    assert_eq!(bench.admit("user30", "2001:db8::2"), Err(2), "the same /64");
    assert_eq!(bench.admit("user30", "2001:db8:0:1::2"), Ok(()), "another one");
    bench.at += 2000;
    assert_eq!([0; 2].map(|_| bench.admit("user31", "2001:db8::3")), [Ok(()), Err(2)]);
    let admitted = (0..60_000).filter(|n| {
        bench.at += 1;
        bench.admit(&format!("more{n}"), "2001:db8::1").is_ok()
    });
    assert_eq!(admitted.count(), 30);
}

#[test]
fn three_hundred_a_minute_are_let_in_from_everywhere() {
    let mut bench = bench();
    let each = |n: u64| (format!("user{n}"), format!("10.0.{}.{}", n / 256, n % 256));
    for n in 0..300 {
        let (user, address) = each(n);
        assert_eq!(bench.admit(&user, &address), Ok(()), "{n}");
    }
    let (user, address) = each(300);
    assert_eq!(bench.admit(&user, &address), Err(1));
    bench.at += 200;
    assert_eq!(bench.admit(&user, &address), Ok(()));
    assert_eq!(bench.throttle.pairs.len(), 301, "who is refused is not remembered");
}

#[test]
fn one_try_a_second_for_a_user_is_let_in_from_any_address() {
    let mut bench = bench();
    for n in 0..20 {
        assert_eq!(bench.admit("ann", &format!("10.0.0.{n}")), Ok(()), "{n}");
    }
    assert_eq!(bench.admit("ann", "10.0.0.20"), Err(1));
    assert_eq!(bench.admit("bob", "10.0.0.20"), Ok(()));
    for n in 0..60 {
        bench.at += 1000;
        assert_eq!(bench.admit("ann", &format!("10.0.1.{n}")), Ok(()), "{n}");
    }
}

// T-55
#[test]
fn where_somebody_has_logged_in_floods_from_everywhere_do_not_reach() {
    let mut bench = bench();
    assert_eq!(bench.admit("ann", B), Ok(()));
    bench.succeeded("ann", B);
    bench.at += DAY_MS;
    for n in 0..20_000u64 {
        bench.at += 1;
        let _refused = bench.admit(&format!("u{}", n % 400), &format!("10.{}.{}.0", n / 256, n % 256));
        let _refused = bench.admit("ann", &format!("10.{}.{}.1", n / 256, n % 256));
    }
    assert!(bench.admit("ann", A).is_err());
    assert_eq!([0; 5].map(|_| bench.admit("ann", B)), [Ok(()); 5]);
    assert_eq!(bench.admit("ann", B), Err(1), "its own delays remain");
    bench.at += KNOWN_MS;
    assert_eq!(bench.throttle.known.get(Mono(bench.at * 1_000_000), &pair("ann", B)).map(|_| ()), None);
}

#[test]
fn who_has_logged_in_is_not_delayed_by_others_at_the_same_address_and_guesses_as_slowly() {
    // FT-505
    let mut bench = bench();
    assert_eq!(bench.admit("ann", A), Ok(()));
    bench.succeeded("ann", A);
    let mut guesses = 0;
    for n in 0..3_600 {
        bench.at += 1_000;
        let _other = bench.admit(&format!("user{n}"), A);
        if n % 100 == 99 {
            assert_eq!(bench.admit("ann", A), Ok(()), "{n}: others have used the address up");
            bench.succeeded("ann", A);
        }
    }
    assert!(bench.admit("ben", A).is_err());
    for _ in 0..3_600 {
        bench.at += 1_000;
        guesses += u64::from(bench.admit("ann", A).is_ok());
    }
    assert!((60..72).contains(&guesses), "{guesses} guesses in an hour");
    // One who is right each time has a bound of its own, so that nobody makes the proxy hash without end.
    bench.at += DAY_MS;
    let logins = (0..100).filter(|_| {
        let admitted = bench.admit("ann", A).is_ok();
        bench.succeeded("ann", A);
        admitted
    });
    assert_eq!(logins.count(), 30);
}

#[test]
fn a_claim_that_is_contradicted_counts_for_all_readings_and_harms_nobody() {
    // FT-601
    let mut bench = bench();
    let now = |bench: &Bench| Mono(bench.at * 1_000_000);
    let front = "127.0.0.1";
    let claims = |fake: &str| [fake, A, front].map(|address| Network::contested(ip(address)));
    // Whatever the attacker writes, the pair of its address is the same.
    let mut guesses = 0;
    for n in 0..600u32 {
        bench.at += 1_000;
        let fake = format!("10.0.{}.{}", n / 250, n % 250);
        guesses += u32::from(bench.throttle.admit(now(&bench), "ann", &claims(&fake)).is_ok());
    }
    assert!(guesses < 25, "{guesses} guesses in ten minutes");
    for _ in 0..100 {
        let _refused = bench.throttle.admit(now(&bench), "ann", &claims(B));
    }
    bench.at += 30_000;
    assert_eq!([0; 5].map(|_| bench.admit("ann", B)), [Ok(()); 5], "whose address it was is not delayed");
    // A login with doubtful claims spares only the same claims.
    let at = now(&bench).plus_ms(DAY_MS);
    bench.throttle.succeeded(at, "ann", &claims(B));
    let known =
        |bench: &Bench, network: Network| bench.throttle.known.get(at, &(User::of("ann"), network)).is_some();
    assert!(known(&bench, Network::contested(ip(B))) && !known(&bench, Network::of(ip(B))));
}

#[test]
fn to_wait_until_tries_are_forgotten_gains_nothing() {
    let (mut patient, mut clever) = (bench(), bench());
    let mut tries = [0, 0];
    while patient.at < DAY_MS {
        tries[0] += u64::from(patient.admit("ann", A).is_ok());
        patient.at += 1000;
    }
    while clever.at < DAY_MS {
        while clever.admit("ann", A).is_ok() {
            tries[1] += 1;
        }
        clever.at += 660_000;
    }
    assert!((1440..1460).contains(&tries[0]), "{tries:?}");
    assert!(tries[1] < tries[0], "{tries:?}");
}

#[test]
fn memory_is_bounded_whoever_is_tried_from_wherever() {
    let rate = LoginRate { global_per_minute: u32::MAX, ..LoginRate::default() };
    let mut bench = Bench { throttle: Throttle::new(rate, 100), at: 1 };
    let each = |n: u32| (format!("{n}{}", "x".repeat(1000)), format!("10.0.{}.{}", n / 256, n % 256));
    let lens = |throttle: &Throttle| (throttle.pairs.len(), throttle.users.len(), throttle.known.len());
    for n in 0..100 {
        let (user, address) = each(n);
        assert_eq!(bench.admit(&user, &address), Ok(()));
        bench.succeeded(&user, &address);
        assert_eq!(bench.admit(&user, &address), Ok(()));
    }
    assert_eq!(lens(&bench.throttle), (100, 100, 100));
    for n in 100..1000 {
        let (user, address) = each(n);
        assert_eq!(bench.admit(&user, &address), Ok(()));
        bench.succeeded(&user, &address);
        assert_eq!(bench.admit(&user, &address), Ok(()));
        assert_eq!(lens(&bench.throttle), (100, 100, 100));
    }
}

#[test]
fn extreme_rates_neither_panic_nor_lock_out() {
    for n in [0, 1, u32::MAX] {
        let rate =
            LoginRate { quick_tries: n, delay_max_seconds: n, address_per_minute: n, global_per_minute: n };
        let mut throttle = Throttle::new(rate, 0);
        assert_eq!(throttle.admit(Mono(0), "ann", &[Network::of(ip(A))]), Ok(()), "{n}");
        assert_eq!(throttle.admit(Mono(0).plus_ms(60_000), "ann", &[Network::of(ip(A))]), Ok(()), "{n}");
        let _refused = throttle.admit(Mono::NEVER, "ann", &[Network::of(ip(A))]);
    }
}

fn bench() -> Bench {
    Bench { throttle: Throttle::new(LoginRate::default(), 10_000), at: 1 }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pair(user: &str, address: &str) -> Pair {
    (User::of(user), Network::of(ip(address)))
}

impl Bench {
    fn admit(&mut self, user: &str, address: &str) -> Result<(), u64> {
        self.throttle.admit(Mono(self.at * 1_000_000), user, &[Network::of(ip(address))])
    }

    fn succeeded(&mut self, user: &str, address: &str) {
        self.throttle.succeeded(Mono(self.at * 1_000_000), user, &[Network::of(ip(address))]);
    }
}
