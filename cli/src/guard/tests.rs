use std::cell::RefCell;
use std::io::{self, BufReader, Read};

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Act {
    Signal(i32, Signal),
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
            Act::Signal(30, Signal::Term),
            Act::Signal(40, Signal::Term),
            Act::Sleep(Duration::from_secs(2)),
            Act::Signal(30, Signal::Kill),
            Act::Signal(40, Signal::Kill),
        ]
    );
}

#[test]
fn group_that_was_gone_is_not_killed_later() {
    assert_eq!(
        acts(b"+30\n+40\n".as_slice(), &[30]),
        [
            Act::Signal(30, Signal::Term),
            Act::Signal(40, Signal::Term),
            Act::Sleep(GRACE),
            Act::Signal(40, Signal::Kill)
        ]
    );
    assert_eq!(acts(b"+30\n".as_slice(), &[30]), [Act::Signal(30, Signal::Term)], "nobody to wait for");
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
fn kill_group_says_whether_the_group_existed() {
    use std::os::unix::process::CommandExt;
    let mut child =
        std::process::Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep starts");
    let group = i32::try_from(child.id()).expect("a pid fits");
    assert!(kill_group(group, Signal::Term));
    child.wait().expect("it ended");
    assert!(!kill_group(group, Signal::Kill));
    assert!(!kill_group(0, Signal::Kill));
}

fn groups(input: &[u8]) -> Vec<i32> {
    read_orders(input).map(|groups| groups.into_iter().collect()).expect("no bye")
}

fn acts(input: impl BufRead, gone: &[i32]) -> Vec<Act> {
    let acts = RefCell::new(Vec::new());
    run(
        input,
        |group, signal| {
            acts.borrow_mut().push(Act::Signal(group, signal));
            !gone.contains(&group)
        },
        |time| acts.borrow_mut().push(Act::Sleep(time)),
    );
    acts.into_inner()
}
