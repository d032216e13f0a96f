//! Tools that their server only runs as tasks, called like any other (2025-11-25 basic/utilities/tasks, `bridging` §7).
//!
//! ```text
//! tools/call, with `task` ─▶ a task ─▶ tasks/result (held open) ─▶ the answer of the call
//!                                   └▶ tasks/get now and then: still a sign of life?
//! ```
//!
//! Clients see none of it: no tool of theirs says that it needs a task, and what they sent of tasks is taken out.
//! A cancelled call ends its task. Invariant: a task is known only as long as its call is.

use super::ServersMut;
use super::calls::{Origin, Own, Task};
use super::connection::Phase;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Envelope, Raw, Span};
use crate::timer::ServerTimer;

/// Shortest and longest time between two questions how a task is.
const POLL_MS: (u64, u64) = (500, 60_000);

/// Times the result of a task is asked for again without progress in between.
const RESULT_TRIES_MAX: u32 = 3;

impl ServersMut<'_> {
    /// A server took a call up as a task. Returns whether it did; otherwise this is the answer itself.
    pub(super) fn on_task_created(&mut self, key: Key, text: &[u8], result: Span) -> bool {
        let Some(id) =
            self.calls.get(key).filter(|call| call.task == Some(Task::Wanted)).map(|call| call.upstream)
        else {
            return false;
        };
        let task = json::member(text, result, "task").ok().flatten();
        let Some(task) = task else { return false };
        let parts = json::members(text, task, ["taskId", "pollInterval"]).unwrap_or_default();
        let [Some(task), poll] = parts.map(|part| part.filter(|span| span.of(text).len() <= TASK_ID_MAX))
        else {
            self.fail(key, &Fault::peer(Code::UpstreamBroken, "the server made a task without a usable id"));
            return true;
        };
        if task.of(text).first() != Some(&b'"') {
            self.fail(
                key,
                &Fault::peer(Code::UpstreamBroken, "the server made a task whose id is no string"),
            );
            return true;
        }
        let wish = poll.and_then(|span| std::str::from_utf8(span.of(text)).ok()?.parse::<f64>().ok());
        let wish = wish.map_or(self.fx.limits.task_poll_ms, |ms| ms as u64);
        let poll_ms = wish.clamp(POLL_MS.0, POLL_MS.1);
        let raw = Raw::new(task.of(text));
        if let Some(call) = self.calls.get_mut(key) {
            call.alive = self.fx.now.mono;
            call.task = Some(Task::Running { id: raw.clone(), poll_ms, asked: None });
        }
        if self.ask_about(id, Own::TaskResult(key), "tasks/result", &raw).is_none() {
            self.fail(
                key,
                &Fault::environment(Code::UpstreamLost, "the result of a task could not be asked for"),
            );
        } else {
            self.fx.after(poll_ms, ServerTimer::TaskPoll, key.to_u64());
        }
        true
    }

    /// Time to ask how a task is.
    pub(super) fn on_task_timer(&mut self, key: Key) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(Task::Running { id: task, poll_ms, asked }) = call.task.clone() else { return };
        let id = call.upstream;
        // One question at a time: a server that does not answer is not asked more.
        if asked.is_none_or(|asked| self.calls.get(asked).is_none()) {
            let now = self.ask_about(id, Own::TaskState(key), "tasks/get", &task);
            if let Some(Task::Running { asked, .. }) =
                self.calls.get_mut(key).and_then(|call| call.task.as_mut())
            {
                *asked = now;
            }
        }
        self.fx.after(poll_ms, ServerTimer::TaskPoll, key.to_u64());
    }

    /// A server says how a task is: it is alive, and that is all that matters here.
    pub(super) fn on_task_state(&mut self, call: Key) {
        if let Some(call) = self.calls.get_mut(call) {
            call.alive = self.fx.now.mono;
        }
    }

    /// The result of a task, or its error, is the answer of its call.
    pub(super) fn on_task_done(&mut self, call: Key, envelope: &Envelope, text: &[u8]) {
        if let Some(call) = self.calls.get_mut(call) {
            call.task = Some(Task::Done);
        }
        self.complete(call, envelope, text);
    }

    /// The way on which the result of a task was awaited broke. The task goes on, so its result is asked for again; in
    /// the end it is cancelled, as nobody can get it.
    pub(super) fn on_task_result_lost(&mut self, key: Key, fault: &Fault) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (id, task) = (call.upstream, call.task.clone());
        call.resumes += 1;
        let again = call.resumes <= RESULT_TRIES_MAX
            && self.conns.get(id).is_some_and(|upstream| upstream.phase == Phase::Ready);
        if let Some(Task::Running { id: task, .. }) = task
            && again
            && self.ask_about(id, Own::TaskResult(key), "tasks/result", &task).is_some()
        {
            return;
        }
        self.give_up_call(key, fault);
    }

    /// A call that a server runs as a task is not wanted any more.
    pub(super) fn end_task(&mut self, id: UpstreamId, task: &Raw) {
        self.ask_about(id, Own::TaskCancel, "tasks/cancel", task);
    }

    fn ask_about(&mut self, id: UpstreamId, own: Own, method: &str, task: &Raw) -> Option<Key> {
        // Its session is over, and the next one, which knows no such task, has not begun.
        if self.conns.get_mut(id)?.link.http().is_some_and(|link| link.is_between_sessions()) {
            return None;
        }
        let task = std::str::from_utf8(task.as_bytes()).unwrap_or("null");
        self.submit_own(id, own, method, &format!("{{\"taskId\":{task}}}"))
    }

    /// The call that a server runs as this task (raw id).
    pub(super) fn call_of_task(&self, id: UpstreamId, task: &[u8]) -> Option<Key> {
        let own = self.conns.get(id)?.own_calls.iter().filter_map(|key| self.calls.get(*key));
        let parents = own.filter_map(|own| match own.origin {
            Origin::Own(Own::TaskResult(parent)) => Some(parent),
            Origin::Own(_) | Origin::Client(_) => None,
        });
        let runs = |key: &Key| match self.calls.get(*key).and_then(|call| call.task.as_ref()) {
            Some(Task::Running { id, .. }) => id.as_bytes() == task,
            Some(Task::Wanted | Task::Done) | None => false,
        };
        parents.into_iter().find(runs)
    }

    /// Ends what the proxy itself asked about the task of a call that is over.
    pub(super) fn drop_task_calls(&mut self, id: UpstreamId, call: Key) {
        let Some(upstream) = self.conns.get(id) else { return };
        let about = |key: &Key| {
            let own = self.calls.get(*key).map(|call| &call.origin);
            matches!(own, Some(Origin::Own(Own::TaskState(of) | Own::TaskResult(of))) if *of == call)
        };
        let own: Vec<Key> = upstream.own_calls.iter().copied().filter(about).collect();
        for key in own {
            self.cancel(key, None);
        }
    }
}

/// Longest raw id of a task.
const TASK_ID_MAX: usize = 1_024;

/// Where an answer says which task it came from, which means nothing to who did not ask for one.
pub(crate) fn task_mark(text: &[u8], envelope: &Envelope) -> Option<Span> {
    let result = envelope.outcome?;
    let meta = json::member(text, result, "_meta").ok()??;
    json::member(text, meta, RELATED_TASK).ok()??;
    match json::scan::each_member(text, meta).nth(1) {
        None => json::scan::member_with_comma(text, result, "_meta"),
        Some(_) => json::scan::member_with_comma(text, meta, RELATED_TASK),
    }
}

/// The raw id of the task that a message belongs to.
pub(super) fn related_task(text: &[u8], params: Span) -> Option<Span> {
    let meta = json::member(text, params, "_meta").ok()??;
    let related = json::member(text, meta, RELATED_TASK).ok()??;
    json::member(text, related, "taskId").ok()?
}

/// The `_meta` key that names the task a message belongs to.
pub(crate) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
