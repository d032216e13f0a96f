//! Fuzz targets for every parser and state machine: each is a plain function from bytes to nothing that panics when a
//! property breaks.
//!
//! `fuzz_targets/NAME.rs` hands the function to libFuzzer, `tests/replay.rs` runs it over `corpus/NAME` on a stable
//! compiler, and `cargo run --bin NAME -- FILE…` runs it over single files. What each target asserts stands at the top
//! of its module; `README.md` has the table.
//!
//! Invariants: a run is a function of its bytes; no clock, no file, no socket, no thread; loops end with the bytes.
//! Left out: what only a real host can break (TLS, pipes, signals), which the tests of the runtimes cover.

pub mod rig;
pub mod tape;

/// Declares a module with a target, and the table of all targets.
macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// All targets: the name of each, which is also that of its corpus, and its function.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::$name)),*];
    };
}

targets![
    config,
    engine,
    http_client,
    http_server,
    json,
    oauth,
    oauth_text,
    page,
    passage,
    proxy,
    stream,
    url,
];

/// The program of one target: under cargo-fuzz libFuzzer drives it, otherwise it runs over the files it is given.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os()
                .skip(1)
                .try_for_each(|file| std::fs::read(file).map(|data| $crate::$name::$name(&data)))
        }
    };
}

#[cfg(fuzzing)]
pub use libfuzzer_sys;
