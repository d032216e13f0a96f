//! See `mcp_proxy_fuzz::http_server`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(http_server);
