//! Errors as clients read them, on the socket and over HTTP (contract, section 3).

use super::{Code, Text};
use crate::settings::Language;
use serde::Serialize;
use std::borrow::Cow;

/// `{ success: false, error: { code, message, errorId?, flow? } }`.
#[derive(Debug, Clone, Serialize)]
pub struct WireError {
    success: bool,
    error: Body,
}

#[derive(Debug, Clone, Serialize)]
struct Body {
    code: &'static str,
    message: Cow<'static, str>,
    #[serde(rename = "errorId", skip_serializing_if = "Option::is_none")]
    error_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<String>,
}

/// The `error` event repeats code and message at the top, where older clients look.
#[derive(Debug, Serialize)]
pub struct ErrorEvent<'a> {
    #[serde(flatten)]
    wire: &'a WireError,
    code: &'a str,
    message: &'a str,
}

impl WireError {
    /// An error in `language`.
    pub fn new(code: Code, text: &Text, language: Language) -> Self {
        Self {
            success: false,
            error: Body {
                code: code.as_str(),
                message: text.render(language),
                error_id: None,
                flow: None,
            },
        }
    }

    /// With the id by which the log line, the trace and the report are found.
    #[must_use]
    pub fn with_id(mut self, error_id: Option<String>) -> Self {
        self.error.error_id = error_id;
        self
    }

    /// With the code by which an operator finds the flow.
    #[must_use]
    pub fn of_flow(mut self, flow: String) -> Self {
        self.error.flow = Some(flow);
        self
    }

    /// The same as an `error` event.
    pub fn event(&self) -> ErrorEvent<'_> {
        ErrorEvent {
            wire: self,
            code: self.error.code,
            message: &self.error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_event_repeats_code_and_message_at_the_top() {
        let error = WireError::new(Code::Forbidden, &Text::NotInSession, Language::En);

        let event = serde_json::to_value(error.event()).unwrap();
        assert_eq!(event["success"], false);
        assert_eq!(event["code"], "FORBIDDEN");
        assert_eq!(event["message"], event["error"]["message"]);
        assert!(event["error"].get("errorId").is_none());
    }
}
