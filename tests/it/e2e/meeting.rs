//! A call held in the air: the server's tool `meet` connects here when the call has arrived, and answers when it is
//! let go.

use super::client::Client;
use super::within;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{RequestHandle, RoleClient};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Where a call is expected.
pub(crate) struct Meeting {
    listener: TcpListener,
}

/// A call that has arrived at the server.
pub(crate) struct Held {
    server: BufReader<TcpStream>,
}

impl Meeting {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// The call that comes here. Its result is `met <label>`.
    pub(crate) fn call(&self, label: &str) -> CallToolRequestParams {
        CallToolRequestParams::new("meet").with_arguments(self.place(label).as_object().unwrap().clone())
    }

    /// The arguments that bring a call here.
    pub(crate) fn place(&self, label: &str) -> Value {
        json!({"port": self.listener.local_addr().unwrap().port(), "label": label})
    }

    /// Waits for the call.
    pub(crate) async fn held(&self, label: &str) -> Held {
        let (server, _) = within("the call's arrival", self.listener.accept()).await.unwrap();
        let mut held = Held { server: BufReader::new(server) };
        assert_eq!(held.line().await, label);
        held
    }
}

impl Held {
    /// Lets the server answer.
    pub(crate) async fn release(mut self) {
        self.server.write_u8(b'.').await.unwrap();
    }

    /// Waits until the server is told that nobody wants the answer any more.
    pub(crate) async fn cancelled(mut self) {
        assert_eq!(self.line().await, "cancelled");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        within("a word of the server", self.server.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }
}

/// Sends the call that `meeting` expects.
pub(crate) async fn begin(client: &Client, meeting: &Meeting, label: &str) -> RequestHandle<RoleClient> {
    client.begin("meet", meeting.place(label)).await
}
