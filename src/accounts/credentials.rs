//! What an e-mail, a name and a password may be.

use crate::event::{Code, Refusal, Text, is_label};

/// Longest e-mail (RFC 5321, section 4.5.3.1.3, less the brackets), as it was sent: what the description of
/// the API says about lengths is about that, too.
const EMAIL_CHARS: usize = 254;
/// Longest part before the @ (RFC 5321, section 4.5.3.1.1).
const LOCAL_CHARS: usize = 64;
/// Shortest and longest password, in characters (NIST SP 800-63B, section 5.1.1.2, asks for 8 and 64 at
/// least); longer ones would be work for nothing.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
/// Longest user name, in characters.
const NAME_CHARS: usize = 50;

fn wrong(why: &str) -> Refusal {
    Refusal::new(Code::ValidationError, Text::InvalidPayload(why.to_owned()))
}

/// An e-mail in the one form in which it is stored and looked for: without spaces around, in lower case.
/// Whether mail arrives there is not ours to know.
pub(super) fn email(text: &str) -> Result<String, Refusal> {
    let email = text.trim();
    let fine = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && local.chars().count() <= LOCAL_CHARS
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
    });
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if fine && text.chars().count() <= EMAIL_CHARS && !email.contains(odd) {
        // Not before: some letters become two, and a name is not longer for it.
        Ok(email.to_lowercase())
    } else {
        Err(wrong("email must be name@domain"))
    }
}

/// The name that others see.
pub(super) fn username(text: &str) -> Result<&str, Refusal> {
    let name = text.trim();
    if name.chars().count() >= 2 && is_label(name, NAME_CHARS) {
        Ok(name)
    } else {
        Err(wrong("username must have 2 to 50 characters"))
    }
}

/// The name that a visitor without an account made up.
pub(super) fn visitor(name: &str) -> Result<&str, Refusal> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (8..=32).contains(&name.len()) && name.chars().all(fine) {
        Ok(name)
    } else {
        Err(wrong("name must have 8 to 32 lower-case letters or digits"))
    }
}

/// A new password.
pub(super) fn password(text: &str) -> Result<(), Refusal> {
    if PASSWORD_CHARS.contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(wrong("password must have 8 to 128 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_has_one_form() {
        assert_eq!(email(" Kim@Example.COM ").unwrap(), "kim@example.com");
        assert_eq!(email("Ünal@example.com").unwrap(), "ünal@example.com");
        assert!(email(&format!("{}@example.com", "İ".repeat(64))).is_ok());
        assert!(email(&format!("a@{}", "b".repeat(252))).is_ok());
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}", "b".repeat(253));
        let spaced = format!("a@{} ", "b".repeat(252));
        for wrong in [
            "", "kim", "@x", "kim@", "a@b@c", "a b@c", "a@.c", "a@c.", "a\0@c.d", &long, &longer,
            &spaced,
        ] {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_and_passwords_have_bounds() {
        assert_eq!(username(" 김철수 ").unwrap(), "김철수");
        let padded = format!("{}\u{3000}", "김".repeat(50));
        assert_eq!(username(&padded).unwrap().chars().count(), 50);
        for wrong in ["", "x", " ", "a\nb", &"x".repeat(51)] {
            assert!(username(wrong).is_err(), "{wrong:?}");
        }
        assert!(password("12345678").is_ok());
        assert!(password(&"가".repeat(128)).is_ok());
        assert!(password("1234567").is_err());
        assert!(password(&"x".repeat(129)).is_err());
    }
}
