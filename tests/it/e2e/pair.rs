//! A proxy between servers of one transport and clients of another; the macros make one test of each story for each
//! such pair.

use super::client::{Client, Down};
use super::ears;
use super::proxy::Proxy;
use super::upstream::{Up, Upstream};
use serde_json::json;

/// A module with one test per story for one pair.
macro_rules! pairing {
    ($name:ident, $pair:ident, $up:ident, $down:ident, $($story:ident)*) => {
        mod $name {
            use crate::e2e::{client::Down, pair::Pair, upstream::Up};
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(Pair::$pair(Up::$up, Down::$down).await).await;
                }
            )*
        }
    };
}

/// Every pair of transports, at the endpoint of one server.
macro_rules! pairings {
    ($($story:ident)*) => {
        pairing!(mcp_to_stdio, single, Stdio, Mcp, $($story)*);
        pairing!(mcp_to_streamable, single, Streamable, Mcp, $($story)*);
        pairing!(mcp_to_sse, single, Sse, Mcp, $($story)*);
        pairing!(sse_to_stdio, single, Stdio, Sse, $($story)*);
        pairing!(sse_to_streamable, single, Streamable, Sse, $($story)*);
        pairing!(sse_to_sse, single, Sse, Sse, $($story)*);
    };
}

/// Every pair of transports, at the merged endpoint of two servers.
macro_rules! merged_pairings {
    ($($story:ident)*) => {
        pairing!(merged_mcp_to_stdio, merged, Stdio, Mcp, $($story)*);
        pairing!(merged_mcp_to_streamable, merged, Streamable, Mcp, $($story)*);
        pairing!(merged_mcp_to_sse, merged, Sse, Mcp, $($story)*);
        pairing!(merged_sse_to_stdio, merged, Stdio, Sse, $($story)*);
        pairing!(merged_sse_to_streamable, merged, Streamable, Sse, $($story)*);
        pairing!(merged_sse_to_sse, merged, Sse, Sse, $($story)*);
    };
}

/// A proxy between its servers and its clients.
pub(crate) struct Pair {
    proxy: Proxy,
    path: String,
    prefix: &'static str,
    _upstreams: Vec<Upstream>,
}

impl Pair {
    /// One server, `everything`, at its own endpoint.
    pub(crate) async fn single(up: Up, down: Down) -> Self {
        let upstream = Upstream::start(up).await;
        let proxy = Proxy::in_front_of(json!({"everything": upstream.config})).await;
        Self { proxy, path: down.path("everything"), prefix: "", _upstreams: vec![upstream] }
    }

    /// Two servers, `everything` and `second`, at the merged endpoint. Clients call those of the first unless they
    /// say otherwise.
    pub(crate) async fn merged(up: Up, down: Down) -> Self {
        let (first, second) = (Upstream::start(up).await, Upstream::start(up).await);
        let servers = json!({"everything": first.config, "second": second.config});
        let proxy = Proxy::in_front_of(servers).await;
        let path = down.merged_path().to_owned();
        Self { proxy, path, prefix: "everything__", _upstreams: vec![first, second] }
    }

    /// A client that can do nothing but call.
    pub(crate) async fn client(&self) -> Client {
        self.client_with(json!({})).await
    }

    /// A client that can be asked everything.
    pub(crate) async fn able(&self) -> Client {
        self.client_with(ears::everything()).await
    }

    /// A client with these capabilities.
    pub(crate) async fn client_with(&self, capabilities: serde_json::Value) -> Client {
        let client = Client::able(&self.proxy.url(&self.path), None, capabilities).await;
        Client { prefix: self.prefix, ..client }
    }
}
