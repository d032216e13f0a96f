//! See `mcp_proxy_fuzz::http_client`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(http_client);
