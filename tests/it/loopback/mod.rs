//! One list of tests for every runtime: the engine on real sockets and real children, driven by each of them.
//!
//! A test is a function of the runtime's `run`; the table below names it once, and it runs on each. What is told here is
//! the behaviour that an adapter adds to the engine, so all of them must show the same.
//!
//! | file | what is told there |
//! |---|---|
//! | [`clients`] | connections that come in: pieces, half-close, reset, slow readers, crowds |
//! | [`children`] | pipes, last words, exit statuses, signals, starts that fail |
//! | [`upstreams`] | connections that go out: names without address, closed ports |
//! | [`secure`] | TLS to upstreams |
//! | [`keeping`] | what is stored, and who may have it |
//! | [`ending`] | the handle, ports in use, and being dropped |
//! | [`outside`] | signals and the guard |
//!
//! [`stage`] runs the proxy. The third runtime is the example `threads`, which has neither TLS nor files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first broken expectation")]

mod children;
mod clients;
mod ending;
mod keeping;
mod outside;
mod secure;
mod stage;
mod upstreams;

/// Makes a test of each function, for one runtime.
macro_rules! table {
    ($run:path: $($area:ident { $($test:ident)+ })+) => {
        $(mod $area {
            $(#[test]
            fn $test() {
                crate::loopback::$area::$test($run);
            })+
        })+
    };
}

/// What every runtime shows.
macro_rules! basic {
    ($run:path) => {
        table! { $run:
            clients {
                a_request_may_come_byte_by_byte
                a_client_that_ends_its_side_still_gets_its_answer
                a_client_that_resets_its_connection_harms_nobody
                a_slow_reader_gets_everything_and_holds_nobody_up
                a_crowd_is_served
            }
            children {
                calls_cross_the_proxy_however_long
                a_child_that_floods_stderr_is_not_locked_up
                the_last_words_of_a_child_are_heard
                how_a_child_ended_is_told
                whoever_ignores_term_is_killed_with_its_group
                a_start_that_fails_names_what_is_missing
                the_environment_and_the_directory_are_as_configured
            }
            upstreams {
                a_server_is_asked_and_heard
                a_name_without_an_address_is_told
                a_closed_port_is_told
                a_server_that_hangs_up_is_told
            }
            ending {
                the_handle_stops_it_in_order
                a_second_stop_does_not_wait
                a_stop_may_come_before_the_start
                a_port_in_use_ends_with_exit_code_1
            }
        }
    };
}

/// What a complete runtime shows beside that.
macro_rules! complete {
    ($run:path) => {
        basic!($run);
        table! { $run:
            secure {
                a_server_behind_tls_is_asked_and_heard
                a_server_nobody_vouches_for_is_refused_in_words
                a_server_without_tls_is_refused_in_words
                a_server_that_cuts_the_connection_is_noticed
            }
            keeping {
                what_was_registered_is_there_after_a_restart
                two_proxies_do_not_share_a_directory
                a_wide_file_is_tightened_and_told
                a_broken_file_is_set_aside
            }
            outside {
                signals_stop_it_with_all_children
                the_guard_is_told_about_every_group_and_the_orderly_end
                a_guard_that_was_killed_is_replaced_and_told_what_lives
                a_missing_guard_is_told_and_keeps_nobody
            }
        }
    };
}

mod smol {
    complete!(mcp_proxy_smol::run);
}

mod tokio {
    complete!(mcp_proxy_tokio::run);
}

mod threads {
    basic!(crate::loopback::adapter::run);
}

#[path = "../../examples/threads/adapter.rs"]
mod adapter;
