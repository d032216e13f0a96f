//! A tool that its server only runs as a task (2025-11-25 basic/utilities/tasks).
//!
//! Arguments of the tool `task`: `ms` of work, `poll_ms` as its wish how often to be asked, and optionally the question
//! of `ask` (`method`, `params`), which is put when somebody waits for the result; `fail` makes the result an error.
//! Whoever waits last gets the result.

use super::asking::{Asked, Question};
use super::{Deed, Mind, Recall, What, answer, say};
use serde_json::{Value, json};

/// One task.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    /// `tasks/result` that waits: the raw id.
    pub(super) waiting: Option<String>,
    params: Value,
    pub(super) session: Option<String>,
    worked: bool,
    asked: bool,
    state: &'static str,
}

impl Mind {
    pub(super) fn begin_task(&mut self, id: &str, params: &Value, session: Option<&str>) -> Vec<Deed> {
        if params["task"].is_null() {
            return vec![answer(id, r#""error":{"code":-32601,"message":"only as a task"}"#.to_owned())];
        }
        self.begun += 1;
        let task = format!("task-{}-{}", self.run, self.begun);
        self.tasks.push(Task {
            id: task.clone(),
            waiting: None,
            params: params.clone(),
            session: session.map(str::to_owned),
            worked: false,
            asked: false,
            state: "working",
        });
        let created = answer(id, format!(r#""result":{{"task":{}}}"#, self.task_object(&task)));
        let after_ms = params["arguments"]["ms"].as_u64().unwrap_or_default();
        vec![
            created,
            Deed { after_ms, about: None, what: What::Recall(Recall::Work(task)), ..say(id, String::new()) },
        ]
    }

    fn task(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    fn task_object(&self, id: &str) -> Value {
        let task = self.tasks.iter().find(|task| task.id == id).expect("a task of its own");
        let wish = task.params["arguments"].get("poll_ms").cloned().unwrap_or_else(|| json!(1_000));
        json!({"taskId": id, "status": task.state, "createdAt": "2026-01-01T00:00:00Z", "ttl": 600_000,
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "pollInterval": wish})
    }

    /// The work is done: next comes the question, if there is one.
    pub(super) fn work(&mut self, id: &str) -> Vec<Deed> {
        let Some(task) = self.task(id).filter(|task| task.state == "working") else { return Vec::new() };
        task.worked = true;
        self.go_on(id)
    }

    fn go_on(&mut self, id: &str) -> Vec<Deed> {
        let Some(task) = self.task(id).filter(|task| task.worked && task.state == "working") else {
            return Vec::new();
        };
        if task.params["arguments"]["method"].is_null() {
            return self.finish_task(id);
        }
        // Questions go on the stream of who waits for the result.
        if task.waiting.is_none() || std::mem::replace(&mut task.asked, true) {
            return Vec::new();
        }
        let (params, session) = (task.params.clone(), task.session.clone());
        let own = self.plan_question(None, &params, session.as_deref(), Some(id));
        self.put(&own)
    }

    pub(super) fn finish_task(&mut self, id: &str) -> Vec<Deed> {
        let Some(task) = self.task(id).filter(|task| task.state == "working") else { return Vec::new() };
        task.state = if task.params["arguments"]["fail"] == true { "failed" } else { "completed" };
        self.deliver_task(id)
    }

    fn deliver_task(&mut self, id: &str) -> Vec<Deed> {
        let told = self.told_task(id);
        let uid = self.unique();
        let Some(task) = self.task(id) else { return Vec::new() };
        let Some(request) = task.waiting.take_if(|_| task.state != "working") else { return Vec::new() };
        let text = told.as_deref().or_else(|| task.params["arguments"]["text"].as_str()).unwrap_or("done");
        let meta = json!({"io.modelcontextprotocol/related-task": {"taskId": id}, "sim/uid": uid,
            "sim/tag": task.params["_meta"]["sim/tag"]});
        let rest = match task.state {
            "completed" => {
                format!(r#""result":{}"#, json!({"content": [{"type": "text", "text": text}], "_meta": meta}))
            }
            _ => r#""error":{"code":-7,"message":"the task came to nothing"}"#.to_owned(),
        };
        vec![answer(&request, rest)]
    }

    pub(super) fn on_task_request(&mut self, id: &str, method: &str, params: &Value) -> Vec<Deed> {
        let name = params["taskId"].as_str().unwrap_or_default().to_owned();
        let Some(task) = self.task(&name) else {
            return vec![answer(id, r#""error":{"code":-32602,"message":"no such task"}"#.to_owned())];
        };
        match method {
            "tasks/get" => vec![answer(id, format!(r#""result":{}"#, self.task_object(&name)))],
            "tasks/result" => {
                task.waiting = Some(id.to_owned());
                if task.state == "working" { self.go_on(&name) } else { self.deliver_task(&name) }
            }
            "tasks/cancel" if task.state == "working" => {
                task.state = "cancelled";
                let moot = |q: &&mut Question| q.task.as_ref() == Some(&name) && q.state == Asked::Open;
                self.questions.iter_mut().filter(moot).for_each(|question| question.state = Asked::Withdrawn);
                let mut deeds = vec![answer(id, format!(r#""result":{}"#, self.task_object(&name)))];
                deeds.extend(self.deliver_task(&name));
                deeds
            }
            _ => vec![answer(id, r#""error":{"code":-32602,"message":"over already"}"#.to_owned())],
        }
    }
}
