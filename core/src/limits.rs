//! Every bound of the engine, with its default and the reason for it.
//!
//! All times are milliseconds, all sizes bytes. Those that no host or test has a reason to set are constants.

/// Cookies of one jar. RFC 6265 §6.1 asks for 50.
pub(crate) const COOKIES_MAX: usize = 50;
/// One cookie, attributes and all. RFC 6265 §6.1.
pub(crate) const COOKIE_BYTES_MAX: usize = 4_096;
/// Names and values of one jar: what common servers take in one header field.
pub(crate) const JAR_BYTES_MAX: usize = 8 * 1_024;
/// Most codings on top of each other. One is usual; a second is put there by mistake of something in between.
pub(crate) const CODINGS_MAX: usize = 3;
/// How many times larger than on the wire a long packed body may be. JSON packs to a tenth, very regular lists to a
/// fiftieth.
pub(crate) const UNPACKED_RATIO_MAX: u64 = 100;
/// Packed bytes that are unpacked in one step. Times 1,032, the most that deflate can pack, that is a megabyte.
pub(crate) const UNPACK_STEP_BYTES: usize = 1_024;

/// The bounds. Build with `..Limits::default()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One HTTP head. 16 KiB is what nginx and Node accept by default.
    pub head_bytes_max: usize,
    /// One JSON-RPC message, HTTP body, stdio line or SSE event. Large enough for an inlined screenshot or PDF.
    pub message_bytes_max: usize,
    /// Nesting of a JSON message. SDKs of the field recurse; 128 is serde_json's own bound.
    pub json_depth_max: usize,
    /// Downstream connections at a time. Beyond it the host stops accepting.
    pub downstream_conns_max: usize,
    /// Connections of one address of the public internet at a time. Reverse proxies, whose address all their clients
    /// share, stand at private ones as a rule; a house or an office behind one address stays far below.
    pub conns_per_address_max: usize,
    /// Bytes that the engine holds for all its peers together: what waits to be sent, requests and answers that are
    /// coming in, calls that wait, events kept for clients that come back. Near it whoever holds much is refused more.
    /// Half of the memory of a small machine.
    pub memory_bytes_max: usize,
    /// Downstream sessions at a time.
    pub sessions_max: usize,
    /// Calls in flight of one session.
    pub session_calls_max: usize,
    /// Calls of clients in flight altogether.
    pub calls_max: usize,
    /// Selections of servers that logins show on the merged endpoint.
    pub views_max: usize,
    /// Answers for the doctor that are begun in a minute. Everybody may ask for one, and it takes up to 20 s.
    pub probes_per_minute: u32,
    /// Calls that wait for one upstream to come back.
    pub upstream_queue_max: usize,
    /// Bytes of calls that wait for one upstream to come back.
    pub upstream_queue_bytes_max: usize,
    /// Notifications of clients that wait until one upstream has started. The field has few, and one that is lost is no
    /// error.
    pub upstream_notes_max: usize,
    /// Bytes queued for one downstream connection before droppable messages are dropped and a new request waits.
    pub send_high_bytes: usize,
    /// Bytes queued for one connection before it is closed.
    pub send_cap_bytes: usize,
    /// Bytes queued for one upstream connection before calls are refused as overloaded.
    pub upstream_send_cap_bytes: usize,
    /// Events one stream keeps for a client that comes back.
    pub replay_events_max: usize,
    /// Bytes one stream keeps for a client that comes back.
    pub replay_bytes_max: usize,
    /// Streams one session keeps.
    pub session_streams_max: usize,
    /// Messages in a batch (2025-03-26).
    pub batch_max: usize,
    /// Connections to one origin of an HTTP upstream.
    pub pool_conns_max: usize,
    /// What a client or a server declares beyond the protocol (`extensions` and `experimental` together). Those of the
    /// field are below 1 KiB; one is kept for each session.
    pub declared_bytes_max: usize,
    /// What a server says of itself to be shown (`serverInfo`, the `_meta` of its greeting), each. Room for an icon or
    /// two that stand in it as data.
    pub identity_bytes_max: usize,
    /// Redirects that one request follows.
    pub redirects_max: u8,
    /// Pages read of one list.
    pub list_pages_max: usize,
    /// Items kept of one list.
    pub list_items_max: usize,
    /// Bytes of items kept of one list.
    pub list_bytes_max: usize,
    /// Length of one line of a child's stderr; the rest of a longer one is cut.
    pub stderr_line_bytes_max: usize,
    /// Time for a request head and body to arrive.
    pub request_ms: u64,
    /// When all seats are taken: how long a connection may be silent, or in the middle of a head, before it counts as
    /// slow. A few round trips of a bad network.
    pub newcomer_ms: u64,
    /// When all seats are taken: how long a request body may take before its connection counts as slow. 16 MiB at
    /// 14 Mbit/s.
    pub slow_body_ms: u64,
    /// How long a downstream connection may idle between requests. Longer than the usual 60 s of reverse proxies.
    pub conn_idle_ms: u64,
    /// How long we wait for the peer's close after ours.
    pub linger_ms: u64,
    /// A plain answer becomes an event stream after this time, so that it can be kept alive.
    pub sse_after_ms: u64,
    /// Silence on a stream before a comment is sent. Common intermediaries cut at 30 s and more.
    pub keep_alive_ms: u64,
    /// A call without any sign of life from its upstream. Clients have limits of their own, so this one only
    /// keeps a forgotten call from living for ever.
    pub call_ms: u64,
    /// A call altogether, progress or not.
    pub call_total_ms: u64,
    /// What the proxy itself asks (lists, pings) must be answered by then.
    pub own_call_ms: u64,
    /// How long a human may think about a question of a server.
    pub input_ms: u64,
    /// How long a question waits for its client to open a stream it can be sent on.
    pub ask_wait_ms: u64,
    /// Time for a server to stop a cancelled call before its open questions are answered in place of the client.
    pub cancel_grace_ms: u64,
    /// Open questions of one upstream connection.
    pub questions_max: usize,
    /// A question that waits for a stream of its client; longer ones are refused at once.
    pub held_question_bytes_max: usize,
    /// Lines that one connection to a server may print to the log in a second: of stderr, and of what is no message.
    pub printed_lines_max: u32,
    /// Raw JSON-RPC ids and progress tokens, which are kept as long as their request runs.
    pub id_bytes_max: usize,
    /// Largest id of a request to a server, or of a question to a client. Some keep ids in 32 bits, with a sign.
    pub call_id_max: u32,
    /// Ids of calls that ended without their answer, which may still come, that are remembered of one server, so that
    /// none of them is given again. Many times what a client of the field gives up before it loses patience.
    pub owed_ids_max: usize,
    /// URIs of resources that are watched.
    pub uri_bytes_max: usize,
    /// Resources one session may watch.
    pub watches_max: usize,
    /// Connections to one server that serve sessions of their own, unless `maxSessions` says otherwise.
    pub server_conns_max: usize,
    /// The same for those that sessions share one after the other (`sessions: "shared"`).
    pub shared_server_conns_max: usize,
    /// Such a connection that no call has used yet, or that no session holds, is stopped after this time.
    pub server_conn_idle_ms: u64,
    /// `initialize` waits this long for a server in its first start, if that may take so long. Clients of the field give
    /// up after 30 to 60 s.
    pub greeting_ms: u64,
    /// The first list of a session waits this long for servers in their first start, unless `listWait` says otherwise;
    /// then it is made of what is there. Many hosts read a list once. Some wait little longer for it than this.
    pub lists_ms: u64,
    /// A server that is lost stays on lists for this long.
    pub away_ms: u64,
    /// How often to ask how a task is, when the server does not say, and at most.
    pub task_poll_ms: u64,
    /// How long a call waits for an upstream that went away.
    pub queue_ms: u64,
    /// A session without traffic and without an open stream.
    pub session_idle_ms: u64,
    /// How long a stream without a connection is kept for its client.
    pub stream_retention_ms: u64,
    /// `retry:` given to clients (2025-11-25).
    pub retry_ms: u64,
    /// From spawning or dialling to the end of the handshake. `npx` and `uvx` download on the first start.
    pub handshake_ms: u64,
    /// To resolve, connect and (TLS) shake hands.
    pub connect_ms: u64,
    /// For the `endpoint` event of an HTTP+SSE server.
    pub endpoint_ms: u64,
    /// Unused pooled connection. Below the 5 s that Node servers keep a connection.
    pub pool_idle_ms: u64,
    /// Between pings of an upstream.
    pub ping_ms: u64,
    /// From one ping that is to tell whether a refused call means a lost session to the next. A server that refuses
    /// thousands of calls a second is not asked as often.
    pub doubt_ms: u64,
    /// Pings one after the other, without a word in between, after which a server that answered them before and has
    /// nothing to do counts as dead.
    pub ping_failures_max: u32,
    /// Calls in a row that were given up without a word after which a server that misses its pings as well counts as dead
    /// even while others run. One may be work; of several none was answered.
    pub given_up_calls_max: u32,
    /// First wait before an upstream is tried again; doubles up to `backoff_max_ms`, with jitter.
    pub backoff_ms: u64,
    /// Longest such wait.
    pub backoff_max_ms: u64,
    /// Uptime after which the wait starts small again.
    pub backoff_reset_ms: u64,
    /// Tries one after the other that fail, or whose service ends before `backoff_reset_ms`, after which a server is
    /// left alone for longer: with the waits above, some three minutes.
    pub suspend_failures: u32,
    /// How long. Somebody who needs the server brings the next try forward, though not closer than `backoff_max_ms`.
    pub suspend_ms: u64,
    /// A connection whose peer takes none of what is queued for it for this time is dropped. Network trouble that
    /// lasts longer is seldom survived by intermediaries either.
    pub stall_ms: u64,
    /// From a `list_changed` to reading the list again.
    pub debounce_ms: u64,
    /// Age after which the lists of an upstream without `listChanged` are read again when asked for.
    pub list_age_ms: u64,
    /// Before a list that could not be read is tried again.
    pub list_retry_ms: u64,
    /// The same for one that was never read. Doubles up to `list_retry_ms`.
    pub list_first_retry_ms: u64,
    /// From closing a child's stdin to TERM, and from TERM to KILL.
    pub child_stop_ms: u64,
    /// From the end of a child's output to its exit, which says why: many times what the system takes to tell of both.
    pub exit_wait_ms: u64,
    /// Running calls may finish this long after the order to stop.
    pub shutdown_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            message_bytes_max: 16 * 1024 * 1024,
            json_depth_max: 128,
            downstream_conns_max: 10_000,
            conns_per_address_max: 1_000,
            memory_bytes_max: 512 * 1024 * 1024,
            sessions_max: 10_000,
            session_calls_max: 1_000,
            calls_max: 100_000,
            views_max: 256,
            probes_per_minute: 30,
            upstream_queue_max: 1_000,
            upstream_queue_bytes_max: 32 * 1024 * 1024,
            upstream_notes_max: 100,
            send_high_bytes: 1024 * 1024,
            send_cap_bytes: 64 * 1024 * 1024,
            upstream_send_cap_bytes: 64 * 1024 * 1024,
            replay_events_max: 256,
            replay_bytes_max: 1024 * 1024,
            session_streams_max: 1_100,
            batch_max: 100,
            pool_conns_max: 1_024,
            declared_bytes_max: 16 * 1024,
            identity_bytes_max: 64 * 1024,
            redirects_max: 5,
            list_pages_max: 1_000,
            list_items_max: 100_000,
            list_bytes_max: 16 * 1024 * 1024,
            stderr_line_bytes_max: 8 * 1024,
            request_ms: 30_000,
            newcomer_ms: 2_000,
            slow_body_ms: 10_000,
            conn_idle_ms: 75_000,
            linger_ms: 2_000,
            sse_after_ms: 200,
            keep_alive_ms: 15_000,
            call_ms: 30 * 60_000,
            call_total_ms: 4 * 60 * 60_000,
            own_call_ms: 60_000,
            input_ms: 10 * 60_000,
            ask_wait_ms: 10_000,
            cancel_grace_ms: 500,
            questions_max: 200,
            held_question_bytes_max: 256 * 1024,
            printed_lines_max: 1_000,
            id_bytes_max: 1_024,
            call_id_max: i32::MAX as u32,
            owed_ids_max: 1_024,
            uri_bytes_max: 8 * 1024,
            watches_max: 1_000,
            server_conns_max: 64,
            shared_server_conns_max: 4,
            server_conn_idle_ms: 60_000,
            greeting_ms: 30_000,
            lists_ms: 3_000,
            away_ms: 5_000,
            task_poll_ms: 5_000,
            queue_ms: 30_000,
            session_idle_ms: 30 * 60_000,
            stream_retention_ms: 5 * 60_000,
            retry_ms: 2_000,
            handshake_ms: 120_000,
            connect_ms: 10_000,
            endpoint_ms: 10_000,
            pool_idle_ms: 4_000,
            ping_ms: 30_000,
            doubt_ms: 1_000,
            ping_failures_max: 3,
            given_up_calls_max: 3,
            backoff_ms: 500,
            backoff_max_ms: 30_000,
            backoff_reset_ms: 60_000,
            suspend_failures: 10,
            suspend_ms: 5 * 60_000,
            stall_ms: 60_000,
            debounce_ms: 100,
            list_age_ms: 60_000,
            list_retry_ms: 10_000,
            list_first_retry_ms: 500,
            child_stop_ms: 2_000,
            exit_wait_ms: 250,
            shutdown_ms: 5_000,
        }
    }
}

/// Most bytes of trailers after a chunked body, line ends included. Checksums and server timings, the trailers of the
/// field, have a tenth of it.
pub(crate) const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Most trailers after a chunked body, each at the cost of a look at its line.
pub(crate) const TRAILERS_MAX: usize = 64;

/// Nesting of JSON that comes to the authorization server: registrations, forms in JSON, documents of clients. What the
/// field sends nests four deep, a set of keys within a registration.
pub(crate) const OAUTH_JSON_DEPTH_MAX: usize = 16;

/// Nesting of what the authorization server stored. It writes six levels; members that a newer version added are kept,
/// so there is room for them; serde_json itself ends at 127.
pub(crate) const STORE_JSON_DEPTH_MAX: usize = 100;

/// Pages with a link that makes a client register anew, for one address in a minute. A person presses it once; this is
/// an office behind one address after the store was lost.
pub(crate) const RECONNECTS_PER_MINUTE: u32 = 30;

/// The same for everybody together.
pub(crate) const RECONNECTS_ALL_PER_MINUTE: u32 = 300;
