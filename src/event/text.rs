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
    NonceTaken,
    OtherSession,
    PairedOnly,
    MonitorsOnly,
    PairingToken,
    PairingSession,
    PairingCode,
    TooManyCodes,
    TooManySessions,
    TooManyRequests,
    TooLarge,
    UnknownEvent,
    InvalidPayload(String),
    InvalidRoomId,
    RoomIdCharacters,
    RoomIdLength,
    InvalidRoomName,
    RoomNameLength,
    NoSuchRoom,
    RoomExists,
    RoomFull(usize),
    TooManyRooms,
    TooManyCreations,
    NotInRoom,
    NoCommonRoom,
    PeerGone,
    OtherUser,
    OtherApplication,
    ProfileIncomplete,
    Blocked,
    NotBlocked,
    NotParticipant,
    NotYourMessage,
    NoSuchMessage,
    CannotLoad,
    SeveralUsers,
    NoAssistant,
    AssistantBusy,
    TokenExpired,
    NotAdmitted,
    WaitYourTurn,
    EntryAllowed,
    QueueCleared,
    SeatTaken,
    NoSuchSeat,
    TooManySeats,
    NotYourSeat,
    SeatNotHeld,
    TooManyCrowds,
    ServerBusy,
    StoreAway,
    GuestsNotAllowed,
    BadCredentials,
    CannotRegister,
    TooManyLogins,
    BadRefreshToken,
    NotYourRoom,
    NoSuchUser,
    Internal,
    OriginNotAllowed,
    UnknownPath,
    /// No such flow, or no longer.
    UnknownFlow,
    /// Neither a flow code nor a trace or error id.
    InvalidFlow,
    MethodNotAllowed,
    AdminOnly,
    NoAdmin,
}

impl Text {
    /// The message in `language`.
    #[expect(clippy::too_many_lines, reason = "the texts are one list")]
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
            Self::NonceTaken => (
                "this nonce belongs to another order",
                "이 nonce는 다른 주문에 사용되었습니다",
            ),
            Self::OtherSession => (
                "this phone was paired with another session",
                "다른 세션에 연결된 휴대폰입니다",
            ),
            Self::PairedOnly => (
                "a paired phone may scan and nothing else",
                "연결된 휴대폰은 스캔만 할 수 있습니다",
            ),
            Self::MonitorsOnly => (
                "only a monitor of the session may do this",
                "세션의 모니터만 할 수 있습니다",
            ),
            Self::PairingToken => (
                "the pairing token is not valid or was used",
                "유효하지 않거나 이미 사용된 연결 토큰입니다",
            ),
            Self::PairingSession => (
                "the pairing token belongs to another session",
                "다른 세션의 연결 토큰입니다",
            ),
            Self::PairingCode => ("no such pairing code", "연결 코드가 올바르지 않습니다"),
            Self::TooManyCodes => (
                "too many codes tried, try again in a minute",
                "연결 코드를 너무 많이 시도했습니다. 잠시 후 다시 시도하세요.",
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
            Self::RoomFull(most) => {
                return Cow::Owned(match language {
                    Language::En => format!("the room is full (at most {most})"),
                    Language::Ko => format!("방이 꽉 찼습니다 (최대 {most}명)"),
                });
            }
            Self::InvalidRoomId => ("invalid room id", "유효하지 않은 방 ID"),
            Self::RoomIdCharacters => (
                "the room id has characters that are not allowed",
                "방 ID에 허용되지 않은 문자가 포함되어 있습니다",
            ),
            Self::RoomIdLength => (
                "the room id must be 3 to 100 characters",
                "방 ID는 3-100자여야 합니다",
            ),
            Self::InvalidRoomName => ("invalid room name", "유효하지 않은 방 이름"),
            Self::RoomNameLength => (
                "the room name must be 2 to 50 characters",
                "방 이름은 2-50자여야 합니다",
            ),
            Self::NoSuchRoom => ("no such room", "존재하지 않는 방입니다"),
            Self::RoomExists => ("the room exists already", "이미 존재하는 방입니다"),
            Self::TooManyRooms => (
                "this socket is in too many rooms",
                "참여한 방이 너무 많습니다",
            ),
            Self::TooManyCreations => (
                "too many rooms created, try again later",
                "방 생성 요청이 너무 많습니다. 잠시 후 다시 시도하세요.",
            ),
            Self::NotInRoom => ("this socket is not in the room", "참여하지 않은 방입니다"),
            Self::NoCommonRoom => (
                "that peer is in no room with you",
                "같은 방에 있지 않은 상대입니다",
            ),
            Self::PeerGone => ("that peer is gone", "상대가 연결되어 있지 않습니다"),
            Self::OtherUser => (
                "the token belongs to another user",
                "다른 사용자의 토큰입니다",
            ),
            Self::NotAdmitted => (
                "you have not been let in, or your time is over",
                "입장이 허용되지 않았거나 시간이 만료되었습니다",
            ),
            Self::WaitYourTurn => (
                "others are waiting: join the queue first",
                "대기 중인 사용자가 있습니다. 먼저 대기열에 참여하세요",
            ),
            Self::EntryAllowed => ("it is your turn", "입장이 허용되었습니다."),
            Self::QueueCleared => (
                "the waiting queue was cleared",
                "대기열이 초기화되었습니다.",
            ),
            Self::SeatTaken => ("the seat is taken", "이미 선택된 좌석입니다"),
            Self::NoSuchSeat => ("no such seat", "존재하지 않는 좌석입니다"),
            Self::TooManySeats => (
                "you hold as many seats as you may",
                "선택할 수 있는 좌석 수를 초과했습니다",
            ),
            Self::NotYourSeat => ("somebody else holds the seat", "다른 사용자의 좌석입니다"),
            Self::SeatNotHeld => ("nobody holds the seat", "선택되지 않은 좌석입니다"),
            Self::TooManyCrowds => (
                "this socket is in too many events",
                "참여한 이벤트가 너무 많습니다",
            ),
            Self::OtherApplication => (
                "this application is not allowed",
                "허용되지 않은 애플리케이션입니다",
            ),
            Self::ProfileIncomplete => (
                "accessToken, refreshToken, userAgent and username are required",
                "accessToken, refreshToken, userAgent, username이 필요합니다",
            ),
            // The same in every language (contract, section 2).
            Self::Blocked => ("you're banned", "you're banned"),
            Self::NotBlocked => ("this address is not blocked", "차단되지 않은 주소입니다"),
            Self::NotParticipant => ("only participants may do this", "참여자만 할 수 있습니다"),
            Self::NotYourMessage => (
                "only its author may change a message",
                "작성자만 수정할 수 있습니다",
            ),
            Self::NoSuchMessage => ("no such message", "존재하지 않는 메시지입니다"),
            Self::CannotLoad => (
                "the messages could not be loaded",
                "메시지를 불러오지 못했습니다",
            ),
            Self::SeveralUsers => (
                "several users have this name: use the id",
                "같은 이름의 사용자가 여러 명입니다. ID를 사용하세요",
            ),
            Self::NoAssistant => (
                "the assistant is not available",
                "AI 응답을 사용할 수 없습니다",
            ),
            Self::AssistantBusy => (
                "the assistant is busy, try again later",
                "AI 응답이 지연되고 있습니다. 잠시 후 다시 시도하세요.",
            ),
            Self::TokenExpired => ("the token has expired", "토큰이 만료되었습니다"),
            Self::ServerBusy => (
                "the server is at its limit, try again later",
                "서버가 혼잡합니다. 잠시 후 다시 시도하세요.",
            ),
            Self::StoreAway => (
                "the database is away, try again later",
                "데이터베이스에 연결할 수 없습니다. 잠시 후 다시 시도하세요.",
            ),
            Self::GuestsNotAllowed => ("this needs a token", "토큰이 필요한 요청입니다"),
            Self::BadCredentials => (
                "e-mail or password is wrong",
                "이메일 또는 비밀번호가 올바르지 않습니다",
            ),
            Self::CannotRegister => (
                "an account with these details cannot be created",
                "이 정보로는 가입할 수 없습니다",
            ),
            Self::TooManyLogins => (
                "too many attempts to log in, try again later",
                "로그인 시도가 너무 많습니다. 잠시 후 다시 시도하세요.",
            ),
            Self::BadRefreshToken => (
                "the refresh token is not valid",
                "유효하지 않은 리프레시 토큰입니다",
            ),
            Self::NotYourRoom => (
                "only its owner and participants may see this",
                "방의 소유자와 참여자만 볼 수 있습니다",
            ),
            Self::NoSuchUser => ("no such user", "존재하지 않는 사용자입니다"),
            Self::Internal => ("internal error", "내부 오류가 발생했습니다"),
            Self::OriginNotAllowed => ("this origin is not allowed", "허용되지 않은 출처입니다"),
            Self::UnknownPath => ("no such path", "존재하지 않는 경로입니다"),
            Self::UnknownFlow => (
                "no such flow is kept on this node, or no longer",
                "이 노드에 해당 흐름이 없거나 더 이상 보관되지 않습니다",
            ),
            Self::InvalidFlow => (
                "this is no flow code (such as K7-QX4M), trace id or error id",
                "흐름 코드(예: K7-QX4M), 추적 ID 또는 오류 ID가 아닙니다",
            ),
            Self::MethodNotAllowed => (
                "this path does not take that method",
                "허용되지 않은 메서드입니다",
            ),
            Self::NoAdmin => ("only an admin may do this", "관리자만 할 수 있습니다"),
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
