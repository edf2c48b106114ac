//! Trace context (W3C Trace Context, level 1): ids, and the `traceparent` text that carries them.

use std::fmt;

/// A number in lower-case hexadecimal digits, without a detour through the formatter: every scan writes some.
#[derive(Clone, Copy)]
pub struct Hex<const DIGITS: usize>([u8; DIGITS]);

impl<const N: usize> Hex<N> {
    /// The last `DIGITS` digits of `number`.
    pub fn new(number: u128) -> Self {
        let mut digits = [b'0'; N];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            let nibble = u8::try_from(rest & 15).unwrap_or_default();
            *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
            rest >>= 4;
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl TraceId {
    /// As it is written.
    pub fn hex(self) -> Hex<32> {
        Hex::new(self.0)
    }

    /// A code short enough to be read out, such as `K7-QX4M`: 30 bits of the trace id in Crockford's
    /// base 32, which has no I, L, O or U.
    pub fn flow_code(self) -> String {
        let mut code = String::with_capacity(7);
        for place in 0..6 {
            if place == 2 {
                code.push('-');
            }
            let five_bits = (self.0 >> (25 - 5 * place)) & 31;
            let digit = usize::try_from(five_bits).ok().and_then(|i| DIGITS.get(i));
            code.push(digit.map_or('0', |d| char::from(*d)));
        }
        code
    }

    /// The bits of the flow code.
    pub fn flow_bits(self) -> u32 {
        u32::try_from(self.0 & 0x3fff_ffff).unwrap_or_default()
    }

    /// The bits that a flow code stands for, as people write one: in any case, with the dash anywhere or
    /// nowhere, O for 0 and I or L for 1.
    pub fn read_flow_code(text: &str) -> Option<u32> {
        let digits = text.bytes().filter(|b| *b != b'-');
        let mut bits = 0_u32;
        let mut count = 0;
        for byte in digits {
            let digit = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let value = DIGITS.iter().position(|d| *d == digit)?;
            bits = bits.checked_mul(32)? | u32::try_from(value).ok()?;
            count += 1;
        }
        (count == 6).then_some(bits)
    }
}

/// 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::<16>::new(self.0.into()).as_str())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a `traceparent` says: somebody's trace, and the span there that caused this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace: TraceId,
    /// The causing span.
    pub span: SpanId,
    /// Whether the sender records the trace.
    pub sampled: bool,
}

impl Traceparent {
    /// Longest text that is looked at; the version in use has 55 characters.
    pub const MAX_BYTES: usize = 64;

    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`. Anything else is no traceparent.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_BYTES {
            return None;
        }
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |s: &str, len| {
            s.len() == len
                && s.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if !hex(version, 2) || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        if !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|t| *t != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|s| *s != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// The trace that one event belongs to. Ids exist whether or not the trace is recorded, so that a log
/// line and an acknowledgement can always name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// What caused this event, if the client said.
    pub parent: Option<SpanId>,
    /// The span that processes the event.
    pub process: SpanId,
    /// The span that sends what comes of it.
    pub send: SpanId,
    /// Whether spans are recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// What goes to receivers, so that their spans hang below our sending one.
    pub fn outgoing(&self) -> Traceparent {
        Traceparent {
            trace: self.trace,
            span: self.send,
            sampled: self.sampled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_reading_and_writing() {
        let parsed = Traceparent::parse(GOOD).unwrap();
        assert!(parsed.sampled);
        assert_eq!(parsed.to_string(), GOOD);
    }

    #[test]
    fn what_is_not_a_traceparent_is_ignored() {
        for wrong in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &"0".repeat(65),
        ] {
            assert_eq!(Traceparent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flow_codes_are_short_and_speakable() {
        assert_eq!(TraceId(0).flow_code(), "00-0000");
        assert_eq!(TraceId(u128::MAX).flow_code(), "ZZ-ZZZZ");
        assert_eq!(TraceId(0x3fff_fffe).flow_code(), "ZZ-ZZZY");
    }
}
