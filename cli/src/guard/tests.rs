use std::cell::RefCell;
use std::io::{self, BufReader, Read};

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Act {
    Signal(Target, Signal),
    Sleep(Duration),
}

#[test]
fn bye_ends_without_touching_anything() {
    for input in ["bye\n", "+10\n+11\nbye\n", "+10\nbye\n+11\n"] {
        assert_eq!(acts(input.as_bytes(), &[]), [], "{input:?}");
    }
}

#[test]
fn lost_proxy_terminates_waits_and_kills_what_is_registered() {
    assert_eq!(
        acts(b"+30\n+20\n+40\n-20\n".as_slice(), &[]),
        [
            group(30, Signal::Term),
            group(40, Signal::Term),
            Act::Sleep(Duration::from_secs(2)),
            group(30, Signal::Kill),
            group(40, Signal::Kill),
        ]
    );
}

#[test]
fn group_that_was_gone_is_not_killed_later() {
    assert_eq!(
        acts(b"+30\n+40\n".as_slice(), &[30]),
        [group(30, Signal::Term), group(40, Signal::Term), Act::Sleep(GRACE), group(40, Signal::Kill)]
    );
    assert_eq!(acts(b"+30\n".as_slice(), &[30]), [group(30, Signal::Term)], "nobody to wait for");
}

#[test]
fn strays_are_stopped_like_groups_and_looked_for_again() {
    let [new, jobs, member] = [(50, 50), (61, 60), (31, 30)].map(|(pid, group)| Stray { pid, group });
    let looks = vec![vec![new, jobs, member], vec![jobs, member], vec![jobs], vec![]];
    assert_eq!(
        acts_with(b"+30\n".as_slice(), &[], looks),
        [
            group(30, Signal::Term),
            process(50, Signal::Term),
            process(61, Signal::Term),
            Act::Sleep(GRACE),
            group(30, Signal::Kill),
            process(61, Signal::Kill),
            process(31, Signal::Kill),
            process(61, Signal::Kill),
        ],
        "a member of a group gets one TERM, with its group"
    );
}

#[test]
fn strays_are_found_without_any_group_and_not_looked_for_for_ever() {
    let stray = Stray { pid: 50, group: 50 };
    let acts = acts_with(b"".as_slice(), &[], vec![vec![stray]; 100]);
    assert_eq!(acts[..2], [process(50, Signal::Term), Act::Sleep(GRACE)]);
    assert_eq!(acts[2..], [const { Act::Signal(Target::Process(50), Signal::Kill) }; SWEEPS_MAX]);
    assert_eq!(acts_with(b"bye\n".as_slice(), &[], vec![vec![stray]; 100]), []);
}

#[cfg(target_os = "linux")]
#[test]
fn a_marked_process_is_a_stray_unless_it_has_a_session_of_its_own() {
    let start = |program: &str, mark: &str| {
        let mut command = std::process::Command::new(program);
        command.args(["sleep", "600"]).env(MARK, mark).spawn().expect("it starts")
    };
    let own = std::process::id().to_string();
    let mut children = [start("env", &own), start("env", "1"), start("setsid", &own)];
    let pids = children.each_ref().map(|child| i32::try_from(child.id()).expect("a pid fits"));
    // `setsid` does its work before it becomes `sleep`.
    let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it lives");
    while pids.iter().any(|pid| name(*pid) != "sleep\n") {
        std::thread::yield_now();
    }
    let found: Vec<i32> = strays(Some(&own)).iter().map(|stray| stray.pid).collect();
    let killed = kill(Target::Process(pids[0]), Signal::Kill);
    // Before anything is asserted: what lives on would hold the output of the test.
    for child in &mut children {
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
    }
    assert_eq!(pids.map(|pid| found.contains(&pid)), [true, false, false]);
    assert!(killed && strays(None).is_empty());
}

#[test]
fn group_is_signalled_once_and_forgotten_by_one_minus() {
    assert_eq!(groups(b"+5\n+5\n"), [5]);
    assert!(groups(b"+5\n+5\n-5\n").is_empty());
    assert_eq!(groups(b"-5\n+5\n"), [5], "order counts");
}

#[test]
fn no_line_names_a_group_that_must_not_be_signalled() {
    for line in ["+0", "+1", "+-1", "+-5", "++5", "+", "+2147483648", "+99999999999999999999"] {
        assert!(groups(format!("{line}\n").as_bytes()).is_empty(), "{line}");
    }
    assert_eq!(groups(b"+2\n+2147483647\n"), [2, i32::MAX]);
}

#[test]
fn malformed_lines_change_nothing() {
    let long = format!("+7\n+{}8\n+9\n", "0".repeat(100));
    assert_eq!(groups(long.as_bytes()), [7, 9]);
    let long_bye = format!("+7\nbye{}\n", " ".repeat(100));
    assert_eq!(groups(long_bye.as_bytes()), [7]);
    assert_eq!(groups(b"+7\n\n \n8\n+ 8\n+8 \n+8\r\n\xff\nBYE\n+8x\n"), [7]);
}

#[test]
fn line_cut_off_by_the_end_is_ignored() {
    assert_eq!(groups(b"+7\n+12"), [7], "might have been the beginning of another number");
    assert_eq!(groups(b"+7\n-7"), [7]);
    assert_eq!(groups(b"+7\nbye"), [7]);
}

#[test]
fn table_is_bounded_and_has_room_again() {
    let full: String = (2..GROUPS_MAX + 2).map(|group| format!("+{group}\n")).collect();
    let full = full + "+100000\n";
    let held = groups(full.as_bytes());
    assert_eq!(held.len(), GROUPS_MAX);
    assert!(!held.contains(&100_000));
    assert!(groups((full + "-2\n+100000\n").as_bytes()).contains(&100_000));
}

#[test]
fn read_error_counts_as_the_end() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let input = BufReader::new(b"+7\n".chain(Broken));
    assert_eq!(read_orders(input), Some(BTreeSet::from([7])));
}

#[cfg(unix)]
#[test]
fn kill_says_whether_there_was_somebody() {
    use std::os::unix::process::CommandExt;
    let mut child =
        std::process::Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep starts");
    let group = i32::try_from(child.id()).expect("a pid fits");
    assert!(kill(Target::Group(group), Signal::Term));
    child.wait().expect("it ended");
    for target in [Target::Group(group), Target::Process(group), Target::Group(0), Target::Process(0)] {
        assert!(!kill(target, Signal::Kill), "{target:?}");
    }
}

fn groups(input: &[u8]) -> Vec<i32> {
    read_orders(input).map(|groups| groups.into_iter().collect()).expect("no bye")
}

const fn group(group: i32, signal: Signal) -> Act {
    Act::Signal(Target::Group(group), signal)
}

const fn process(pid: i32, signal: Signal) -> Act {
    Act::Signal(Target::Process(pid), signal)
}

fn acts(input: impl BufRead, gone: &[i32]) -> Vec<Act> {
    acts_with(input, gone, Vec::new())
}

/// The same with what is found by one look for strays after the other.
fn acts_with(input: impl BufRead, gone: &[i32], looks: Vec<Vec<Stray>>) -> Vec<Act> {
    let acts = RefCell::new(Vec::new());
    let mut looks = looks.into_iter();
    run(
        input,
        |target, signal| {
            acts.borrow_mut().push(Act::Signal(target, signal));
            let (Target::Group(number) | Target::Process(number)) = target;
            !gone.contains(&number)
        },
        || looks.next().unwrap_or_default(),
        |time| acts.borrow_mut().push(Act::Sleep(time)),
    );
    acts.into_inner()
}
