//! HTTP+SSE (2024-11-05), both sides, for the SDK's services: the SDK itself dropped this transport.
//!
//! Deliberately absent: reconnecting, which this transport does not have.

use super::client::http;
use super::everything::Everything;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::StreamExt;
use futures::channel::mpsc::{self, UnboundedSender};
use futures::stream::BoxStream;
use rmcp::ServiceExt;
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use sse_stream::{Sse, SseStream};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// A client's transport.
pub(crate) struct EventStream {
    events: BoxStream<'static, Sse>,
    endpoint: reqwest::Url,
    token: Option<String>,
}

impl EventStream {
    /// Opens the stream and waits for its `endpoint` event.
    pub(crate) async fn open(url: &str, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        let request =
            authorized(http().get(url).header(header::ACCEPT, "text/event-stream"), token.as_deref());
        let response = request.send().await.unwrap().error_for_status().unwrap();
        let url = response.url().clone();
        let events = SseStream::from_bytes_stream(response.bytes_stream());
        // A stream that breaks is a stream that ends.
        let mut events = events.filter_map(|event| std::future::ready(event.ok())).boxed();
        let first = events.next().await.expect("an event");
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        let endpoint = url.join(&first.data.unwrap()).unwrap();
        Self { events, endpoint, token }
    }
}

impl Transport<RoleClient> for EventStream {
    type Error = reqwest::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), reqwest::Error>> + Send + 'static {
        let body = serde_json::to_vec(&message).unwrap();
        let request = http().post(self.endpoint.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = authorized(request, self.token.as_deref()).body(body);
        async move {
            let response = request.send().await?.error_for_status()?;
            assert_eq!(response.status(), StatusCode::ACCEPTED);
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let event = self.events.next().await?;
        assert_eq!(event.event.as_deref().unwrap_or("message"), "message");
        Some(serde_json::from_str(&event.data.unwrap()).unwrap())
    }

    async fn close(&mut self) -> Result<(), reqwest::Error> {
        self.events = futures::stream::empty().boxed();
        Ok(())
    }
}

fn authorized(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// The server: `GET /sse` opens a session, `POST /message?session=n` belongs to it.
pub(crate) fn server(everything: Everything) -> Router {
    Router::new()
        .route("/sse", get(open))
        .route("/message", post(message))
        .layer(DefaultBodyLimit::disable())
        .with_state(Hall { everything, sessions: Arc::default() })
}

type Inbox = UnboundedSender<RxJsonRpcMessage<rmcp::RoleServer>>;

#[derive(Clone)]
struct Hall {
    everything: Everything,
    sessions: Arc<Mutex<BTreeMap<usize, Inbox>>>,
}

async fn open(State(hall): State<Hall>) -> impl IntoResponse {
    let (inbox, received) = mpsc::unbounded();
    let (sent, outbox) = mpsc::unbounded::<TxJsonRpcMessage<rmcp::RoleServer>>();
    let number = {
        let mut sessions = hall.sessions.lock().unwrap();
        let number = sessions.len();
        sessions.insert(number, inbox);
        number
    };
    tokio::spawn(async move {
        if let Ok(running) = hall.everything.serve((sent, received)).await {
            let _ended = running.waiting().await;
        }
    });
    let endpoint = format!("event: endpoint\ndata: /message?session={number}\n\n");
    let messages = outbox.map(|message| {
        let text = serde_json::to_string(&message).unwrap();
        format!("event: message\ndata: {text}\n\n")
    });
    let events = futures::stream::once(std::future::ready(endpoint)).chain(messages);
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body)
}

async fn message(
    State(hall): State<Hall>,
    Query(query): Query<BTreeMap<String, usize>>,
    body: Bytes,
) -> StatusCode {
    let sessions = hall.sessions.lock().unwrap();
    let Some(inbox) = query.get("session").and_then(|number| sessions.get(number)) else {
        return StatusCode::NOT_FOUND;
    };
    let Ok(message) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    match inbox.unbounded_send(message) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
