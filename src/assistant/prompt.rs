//! What the assistant is told of a room: the newest of what was said that fits.

use crate::store::Message;
use serde::Serialize;

/// The assistant's user.
pub(super) const ASSISTANT: &str = "gpt";

/// One message of a question, as the endpoint takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    pub(super) role: &'static str,
    pub(super) content: String,
}

impl From<&Message> for Line {
    fn from(message: &Message) -> Self {
        let own = message.user_id == ASSISTANT;
        let content = if own {
            message.content.clone()
        } else {
            format!("{}: {}", message.username, message.content)
        };
        Self {
            role: if own { "assistant" } else { "user" },
            content,
        }
    }
}

/// The last of these messages, and those before it as far as all are at most so many bytes.
pub(super) fn lines(history: &[Message], bytes: usize) -> Vec<Line> {
    let mut total = 0;
    let newest_first = history.iter().rev().map(Line::from);
    let fitting = newest_first.enumerate().take_while(|(place, line)| {
        total += line.content.len();
        *place == 0 || total <= bytes
    });
    let mut lines: Vec<Line> = fitting.map(|(_, line)| line).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(user: &str, content: &str) -> Message {
        Message {
            id: 1,
            room_id: "r".to_owned(),
            user_id: user.to_owned(),
            username: user.to_owned(),
            content: content.to_owned(),
            client_id: None,
            gpt: false,
            created_at: 1,
            edited_at: None,
        }
    }

    #[test]
    fn the_newest_that_fit_are_told_and_the_question_in_any_case() {
        let history = [
            message("kim", "first"),
            message("gpt", "second"),
            message("lee", "@gpt third"),
        ];
        let contents = |bytes| {
            let lines = lines(&history, bytes).into_iter();
            lines.map(|l| (l.role, l.content)).collect::<Vec<_>>()
        };
        let line = |role, content: &str| (role, content.to_owned());
        let all = [
            line("user", "kim: first"),
            line("assistant", "second"),
            line("user", "lee: @gpt third"),
        ];
        assert_eq!(contents(31), all);
        assert_eq!(contents(30), all[1..]);
        assert_eq!(contents(0), all[2..]);
        assert!(lines(&[], 100).is_empty());
    }
}
