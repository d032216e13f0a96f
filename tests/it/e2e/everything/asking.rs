//! What the server asks of its client, and what it tells it unasked.

use super::{text, wire};
use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, ServerRequest};
use rmcp::service::{PeerRequestOptions, RequestContext, RequestHandle, RoleServer, ServiceError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks the client: `method` and `params` are the question. The answer is the text, as `{"result": …}` or
/// `{"error": …}`.
///
/// With a `port`, the test is met there and told `label` when the question is on its way. A byte from the test
/// withdraws the question; when the call is cancelled, the question is withdrawn and the test told.
pub(super) async fn ask(
    arguments: &Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let question = json!({"method": arguments["method"], "params": arguments["params"]});
    let question: ServerRequest = serde_json::from_value(question).map_err(failed)?;
    let options = PeerRequestOptions::no_options();
    let mut asked = context.peer.send_cancellable_request(question, options).await.map_err(failed)?;
    let mut test = meet(arguments).await.map_err(failed)?;
    tokio::select! {
        answer = &mut asked.rx => Ok(text(&told(answer.map_err(failed)?)?.to_string())),
        () = context.ct.cancelled() => {
            withdraw(asked).await?;
            if let Some(test) = &mut test {
                test.write_all(b"cancelled\n").await.map_err(failed)?;
            }
            Ok(text("cancelled"))
        }
        () = byte_from(&mut test) => {
            withdraw(asked).await?;
            Ok(text("withdrawn"))
        }
    }
}

/// Sends the client a log message.
pub(super) async fn say(
    arguments: &Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let params = json!({"level": arguments["level"], "logger": "mouth", "data": arguments["data"]});
    let message = wire(json!({"method": "notifications/message", "params": params}));
    context.peer.send_notification(message).await.map_err(failed)?;
    Ok(text("said"))
}

/// What the client said it can do.
pub(super) fn abilities(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    let client = context.peer.peer_info().ok_or_else(|| failed("no handshake"))?;
    Ok(text(&serde_json::to_string(&client.capabilities).map_err(failed)?))
}

async fn meet(arguments: &Value) -> std::io::Result<Option<TcpStream>> {
    let Some(port) = arguments["port"].as_u64().and_then(|port| u16::try_from(port).ok()) else {
        return Ok(None);
    };
    let mut test = TcpStream::connect(("127.0.0.1", port)).await?;
    let label = arguments["label"].as_str().unwrap_or_default();
    test.write_all(format!("{label}\n").as_bytes()).await?;
    Ok(Some(test))
}

/// Waits for a byte; a test that is not there, or leaves, sends none.
async fn byte_from(test: &mut Option<TcpStream>) {
    if let Some(test) = test
        && test.read_u8().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn withdraw(asked: RequestHandle<RoleServer>) -> Result<(), ErrorData> {
    asked.cancel(Some("never mind".to_owned())).await.map_err(failed)
}

fn told(answer: Result<impl serde::Serialize, ServiceError>) -> Result<Value, ErrorData> {
    match answer {
        Ok(result) => Ok(json!({ "result": result })),
        Err(ServiceError::McpError(error)) => Ok(json!({ "error": error })),
        Err(other) => Err(failed(other)),
    }
}

fn failed(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
