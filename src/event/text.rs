//! Texts that people read, in English and Korean (contract, section 2).

use crate::settings::Language;
use std::borrow::Cow;

/// A message for people. The Korean ones of the original systems are kept to the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are their own texts, below")]
pub enum Text {
    NoToken,
    BadToken,
    TooManyAttempts,
    RegisterFirst,
    NotInSession,
    RoleIsBinding,
    TooManySessions,
    TooManyRequests,
    TooLarge,
    UnknownEvent,
    InvalidPayload(String),
    OtherUser,
    TokenExpired,
    ServerBusy,
    Internal,
    OriginNotAllowed,
    UnknownPath,
    MethodNotAllowed,
    AdminOnly,
}

impl Text {
    /// The message in `language`.
    pub fn render(&self, language: Language) -> Cow<'static, str> {
        let (en, ko): (&'static str, &'static str) = match self {
            Self::NoToken => (
                "Authentication required: no authentication token",
                "인증 토큰이 없습니다",
            ),
            Self::BadToken => ("Invalid authentication token", "인증 실패"),
            Self::TooManyAttempts => (
                "Too many connection attempts, try again later",
                "연결 시도가 너무 많습니다. 잠시 후 다시 시도하세요.",
            ),
            Self::RegisterFirst => (
                "register first: send registerClient with role mobile or monitor",
                "먼저 registerClient로 역할을 등록하세요",
            ),
            Self::NotInSession => (
                "this socket has not joined the session",
                "참여하지 않은 세션입니다",
            ),
            Self::RoleIsBinding => (
                "the token names another device role",
                "토큰의 역할과 다릅니다",
            ),
            Self::TooManySessions => (
                "this socket is in too many sessions",
                "참여한 세션이 너무 많습니다",
            ),
            Self::TooManyRequests => ("too many requests", "요청이 너무 많습니다"),
            Self::TooLarge => ("the payload is too large", "데이터가 너무 큽니다"),
            Self::UnknownEvent => ("unknown event", "알 수 없는 이벤트입니다"),
            Self::InvalidPayload(why) => {
                return Cow::Owned(match language {
                    Language::En => format!("invalid payload: {why}"),
                    Language::Ko => format!("유효하지 않은 데이터: {why}"),
                });
            }
            Self::OtherUser => (
                "the token belongs to another user",
                "다른 사용자의 토큰입니다",
            ),
            Self::TokenExpired => ("the token has expired", "토큰이 만료되었습니다"),
            Self::ServerBusy => (
                "the server is at its limit, try again later",
                "서버가 혼잡합니다. 잠시 후 다시 시도하세요.",
            ),
            Self::Internal => ("internal error", "내부 오류가 발생했습니다"),
            Self::OriginNotAllowed => ("this origin is not allowed", "허용되지 않은 출처입니다"),
            Self::UnknownPath => ("no such path", "존재하지 않는 경로입니다"),
            Self::MethodNotAllowed => (
                "this path does not take that method",
                "허용되지 않은 메서드입니다",
            ),
            Self::AdminOnly => ("a bearer token is required", "관리자 토큰이 필요합니다"),
        };
        Cow::Borrowed(match language {
            Language::En => en,
            Language::Ko => ko,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_authentication_appears_only_where_the_token_is_at_fault() {
        // Clients log the user out when they read it (contract, section 2).
        let says = |t: Text| {
            t.render(Language::En)
                .to_lowercase()
                .contains("authentication")
        };

        assert!(says(Text::NoToken));
        assert!(says(Text::BadToken));
        for other in [Text::TooManyAttempts, Text::ServerBusy, Text::Internal] {
            assert!(!says(other));
        }
    }
}
