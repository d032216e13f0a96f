//! Which line mends what a front does wrong, as in templates/fronts. Where the front does not say its name, the lines of
//! those are given that keep it to themselves or are met most.

use super::front::Front;

/// What a front does to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// An answer arrives as a whole at its end.
    Buffering,
    /// An answer that takes its time is cut.
    TimeLimit,
    /// A large request is refused.
    BodyLimit,
    /// `Host` is another.
    Host,
    /// The path is another, or refused.
    Path,
    /// Nothing says where a client is.
    Address,
    /// Header fields are lost.
    Fields,
}

/// The line.
pub(super) fn mend(front: Option<&Front>, trouble: Trouble) -> String {
    let line = match (front, trouble) {
        (Some(Front::Nginx), trouble) => format!("In nginx: {}.", nginx(trouble)),
        (Some(Front::Apache), trouble) => format!("In Apache: {}.", apache(trouble)),
        (Some(Front::Lighttpd), trouble) => format!("In lighttpd: {}.", lighttpd(trouble)),
        (Some(Front::Envoy), trouble) => format!("In Envoy: {}.", envoy(trouble)),
        (Some(Front::Caddy), trouble) => format!("In Caddy: {}.", caddy(trouble)),
        (Some(Front::Cloudflare), trouble) => format!("In Cloudflare: {}.", cloudflare(trouble)),
        (Some(Front::Amazon), trouble) => format!("In CloudFront: {}.", amazon(trouble)),
        (Some(Front::Ngrok | Front::Other(_)) | None, trouble) => {
            format!(
                "nginx: {}. HAProxy: {}. Envoy: {}. lighttpd: {}.",
                nginx(trouble),
                haproxy(trouble),
                envoy(trouble),
                lighttpd(trouble)
            )
        }
    };
    format!("{line} Whole recipes are in templates/fronts.")
}

const fn nginx(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "`proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`",
        Trouble::TimeLimit => "`proxy_read_timeout` above 15 s, or the limit of what stands before it",
        Trouble::BodyLimit => "`client_max_body_size 17m;`",
        Trouble::Host => "`proxy_set_header Host $http_host;`",
        Trouble::Path => "`proxy_pass http://127.0.0.1:9090;` without a path or slash at its end",
        Trouble::Address => "`proxy_set_header X-Forwarded-For $remote_addr;`",
        Trouble::Fields => "no `proxy_pass_request_headers off` and no `proxy_set_header` that empties them",
    }
}

const fn apache(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => {
            "no mod_buffer or mod_deflate for text/event-stream, `ProxyPass … flushpackets=on`"
        }
        Trouble::TimeLimit => "`ProxyTimeout 300`, and the limit of what stands before it",
        Trouble::BodyLimit => "`LimitRequestBody 0`, and the limit of mod_security if it is on",
        Trouble::Host => "`ProxyPreserveHost On`",
        Trouble::Path => "`AllowEncodedSlashes NoDecode` and `ProxyPass / http://127.0.0.1:9090/ nocanon`",
        Trouble::Address => {
            "`ProxyAddHeaders Off` and `RequestHeader set X-Forwarded-For \"expr=%{REMOTE_ADDR}\"`"
        }
        Trouble::Fields => "no `RequestHeader unset` for them",
    }
}

const fn lighttpd(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "`server.stream-response-body = 1`",
        Trouble::TimeLimit => "`server.max-write-idle` above 15, and the read timeout of proxy.server",
        Trouble::BodyLimit => "`server.max-request-size = 17408`",
        Trouble::Host => "no `proxy.header` that maps the host",
        Trouble::Path => "`server.http-parseopts = ( \"url-path-2f-decode\" => \"disable\" )`",
        Trouble::Address => "no `setenv` that takes X-Forwarded-For away, mod_proxy writes it",
        Trouble::Fields => "no `setenv.set-request-header` that empties them",
    }
}

const fn envoy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "no buffer filter on this route",
        Trouble::TimeLimit => "`timeout: 0s` on the route",
        Trouble::BodyLimit => "no buffer filter, or `max_request_bytes: 17825792`",
        Trouble::Host => "no `host_rewrite_literal` on the route",
        Trouble::Path => "no `prefix_rewrite`, no `normalize_path`",
        Trouble::Address => "`use_remote_address: true`, and x-forwarded-for in `request_headers_to_add`",
        Trouble::Fields => "no `request_headers_to_remove` for them",
    }
}

const fn haproxy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "`option http-no-delay`",
        Trouble::TimeLimit => "`timeout server` and `timeout client` above 15s",
        Trouble::BodyLimit => "no rule with `req.body_size`",
        Trouble::Host => "no `http-request set-header Host`",
        Trouble::Path => "no `http-request set-path` or `normalize-uri`",
        Trouble::Address => "`http-request set-header X-Forwarded-For %[src]`",
        Trouble::Fields => "no `http-request del-header` for them",
    }
}

const fn caddy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "`flush_interval -1` in reverse_proxy, no `encode` for text/event-stream",
        Trouble::TimeLimit => "no `read_timeout` or `write_timeout` in the transport or the servers block",
        Trouble::BodyLimit => "`request_body { max_size 17MB }`",
        Trouble::Host => "no `header_up Host`",
        Trouble::Path => "no `handle_path`, `uri strip_prefix` or `rewrite`",
        Trouble::Address => "no `header_up -X-Forwarded-For`, reverse_proxy writes it",
        Trouble::Fields => "no `header_up -…` for them",
    }
}

const fn cloudflare(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "no caching, no response buffering for this host",
        Trouble::TimeLimit => {
            "an answer may be silent for 100 s, the proxy speaks every 15 s; look at what stands behind"
        }
        Trouble::BodyLimit => "the plan allows 100 MB and more, so look at what stands behind",
        Trouble::Host => "no `httpHostHeader` in the tunnel and no Host override rule",
        Trouble::Path => "no URL rewrite rule and no normalization of URLs to the origin",
        Trouble::Address => "CF-Connecting-IP is always there, so what stands behind takes it away",
        Trouble::Fields => "no transform rule that removes them",
    }
}

const fn amazon(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Buffering => "caching off for this behaviour (CachingDisabled)",
        Trouble::TimeLimit => {
            "the response timeout of the origin above 15 s, and no response completion timeout"
        }
        Trouble::BodyLimit => "no body limit of AWS WAF, which is 8 or 16 KiB for some rules",
        Trouble::Host => "the origin request policy AllViewer, which passes Host on",
        Trouble::Path => "no origin path and no function that rewrites",
        Trouble::Address => "the origin request policy AllViewer; it writes X-Forwarded-For",
        Trouble::Fields => "the origin request policy AllViewer",
    }
}
