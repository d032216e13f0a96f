//! What comes to a client unasked: notifications, which the test takes from channels, and questions, which the test
//! answers.

use super::within;
use rmcp::model::{
    ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult,
    ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use rmcp::{ClientHandler, ErrorData};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// What a client that can do everything says in the handshake.
pub(crate) fn everything() -> Value {
    json!({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {"listChanged": true}})
}

/// The handler of a client: passes on what comes.
pub(crate) struct Ears {
    capabilities: Value,
    roots: Arc<Mutex<Value>>,
    progress: UnboundedSender<ProgressNotificationParam>,
    tools_changed: UnboundedSender<()>,
    log: UnboundedSender<Value>,
    updated: UnboundedSender<String>,
    questions: UnboundedSender<Question>,
}

/// What came.
pub(crate) struct Heard {
    pub(crate) progress: UnboundedReceiver<ProgressNotificationParam>,
    pub(crate) tools_changed: UnboundedReceiver<()>,
    pub(crate) log: UnboundedReceiver<Value>,
    pub(crate) updated: UnboundedReceiver<String>,
    pub(crate) questions: UnboundedReceiver<Question>,
    /// What `roots/list` is answered with; these questions do not come to the test.
    pub(crate) roots: Arc<Mutex<Value>>,
}

impl Ears {
    /// A client with these capabilities.
    pub(crate) fn new(capabilities: Value) -> (Self, Heard) {
        let (progress, heard_progress) = unbounded_channel();
        let (changed, heard_changed) = unbounded_channel();
        let (log, heard_log) = unbounded_channel();
        let (updated, heard_updated) = unbounded_channel();
        let (questions, heard_questions) = unbounded_channel();
        let roots = Arc::new(Mutex::new(json!([])));
        let heard = Heard {
            progress: heard_progress,
            tools_changed: heard_changed,
            log: heard_log,
            updated: heard_updated,
            questions: heard_questions,
            roots: Arc::clone(&roots),
        };
        (Self { capabilities, roots, progress, tools_changed: changed, log, updated, questions }, heard)
    }

    async fn ask(
        &self,
        method: &'static str,
        params: &impl Serialize,
        context: RequestContext<RoleClient>,
    ) -> Result<Value, ErrorData> {
        let (reply, replied) = oneshot::channel();
        let (gone, withdrawn) = oneshot::channel();
        let params = serde_json::to_value(params).unwrap();
        let _deaf = self.questions.send(Question { method, params, reply, withdrawn });
        let nobody = |_| Err(ErrorData::internal_error("the test does not answer", None));
        tokio::select! {
            reply = replied => reply.unwrap_or_else(nobody),
            () = context.ct.cancelled() => {
                let _deaf = gone.send(());
                std::future::pending().await // nobody wants an answer
            }
        }
    }
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.capabilities = from_wire(self.capabilities.clone());
        info
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.ask("sampling/createMessage", &params, context).await.map(from_wire)
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.ask("elicitation/create", &params, context).await.map(from_wire)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(from_wire(json!({"roots": *self.roots.lock().unwrap()})))
    }

    async fn on_progress(&self, note: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let _deaf = self.progress.send(note);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let _deaf = self.tools_changed.send(());
    }

    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let _deaf = self.log.send(serde_json::to_value(message).unwrap());
    }

    async fn on_resource_updated(
        &self,
        note: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let _deaf = self.updated.send(note.uri);
    }
}

/// A question that waits for its answer.
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
    reply: oneshot::Sender<Result<Value, ErrorData>>,
    withdrawn: oneshot::Receiver<()>,
}

impl Question {
    /// Answers with a result.
    pub(crate) fn answer(self, result: Value) {
        let _late = self.reply.send(Ok(result));
    }

    /// Answers with an error.
    pub(crate) fn refuse(self, error: Value) {
        let _late = self.reply.send(Err(from_wire(error)));
    }

    /// Waits until the server does not want the answer any more.
    pub(crate) async fn withdrawn(self) {
        within("the withdrawal", self.withdrawn).await.unwrap();
    }
}

/// A value of the SDK from what it looks like on the wire.
pub(crate) fn from_wire<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
