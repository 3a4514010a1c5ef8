//! How a WebSocket was closed.

use std::fmt;

/// The last word of the side that closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why, as a number.
    pub code: CloseCode,
    /// Why, in words: at most 123 bytes, often none.
    pub reason: String,
}

/// Why a WebSocket was closed: the codes of RFC 6455 and of its registry that Baseten lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// 1000: all is said. A Truss server (0.18) sends it when the model's method returns.
    Normal,
    /// 1001: the server goes away.
    GoingAway,
    /// 1002: the other side broke the protocol.
    Protocol,
    /// 1003: no such data. A Truss server (0.18) sends it when the model has no WebSocket method.
    Unsupported,
    /// 1005: closed without a code. Never sent.
    NoStatus,
    /// 1006: ended without being closed. Never sent.
    Abnormal,
    /// 1007: a text that is no UTF-8.
    InvalidData,
    /// 1008: against the server's rules.
    Policy,
    /// 1009: a message over the limit, 100 MiB on Baseten.
    TooBig,
    /// 1010: an extension is missing.
    Extension,
    /// 1011: the server failed. A Truss server (0.18) sends it when the model raises, and with the reason
    /// `keepalive ping timeout` when a ping of its own was not answered.
    Internal,
    /// 1012: the replica restarts.
    Restart,
    /// 1013: overloaded, try again later.
    TryAgain,
    /// 1014: the gateway got no good answer from the replica.
    BadGateway,
    /// 1015: TLS failed. Never sent.
    Tls,
    /// Any other: 3000 to 3999 are registered by others, 4000 to 4999 are an application's own.
    Other(u16),
}

const CODES: [(u16, CloseCode, &str); 15] = [
    (1000, CloseCode::Normal, "normal"),
    (1001, CloseCode::GoingAway, "going away"),
    (1002, CloseCode::Protocol, "protocol error"),
    (1003, CloseCode::Unsupported, "unsupported data"),
    (1005, CloseCode::NoStatus, "no status"),
    (1006, CloseCode::Abnormal, "not closed"),
    (1007, CloseCode::InvalidData, "invalid data"),
    (1008, CloseCode::Policy, "policy violation"),
    (1009, CloseCode::TooBig, "message too big"),
    (1010, CloseCode::Extension, "extension missing"),
    (1011, CloseCode::Internal, "internal error"),
    (1012, CloseCode::Restart, "restart"),
    (1013, CloseCode::TryAgain, "try again later"),
    (1014, CloseCode::BadGateway, "bad gateway"),
    (1015, CloseCode::Tls, "TLS failure"),
];

impl CloseCode {
    /// Whether the side that closed had finished: 1000, or no code at all.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Normal | Self::NoStatus)
    }

    /// Whether it may stand in a close frame: 1000 to 4999 but for those that RFC 6455 reserves.
    pub(crate) fn may_be_sent(self) -> bool {
        let never = matches!(self, Self::NoStatus | Self::Abnormal | Self::Tls);
        !never && matches!(u16::from(self), 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        let known = CODES.iter().find(|(number, ..)| *number == code);
        known.map_or(Self::Other(code), |(_, known, _)| *known)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Other(number) => number,
            // 1006 says that nothing was said, which is as near as a code outside the table can come.
            known => CODES.iter().find(|row| row.1 == known).map_or(1006, |row| row.0),
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u16::from(*self))?;
        match CODES.iter().find(|row| row.1 == *self) {
            Some((_, _, name)) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.reason.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_code_and_back() {
        for number in 0..=u16::MAX {
            assert_eq!(u16::from(CloseCode::from(number)), number);
        }
        for (number, code, name) in CODES {
            assert_eq!((CloseCode::from(number), u16::from(code)), (code, number));
            assert_eq!(code.to_string(), format!("{number} ({name})"));
        }
        assert_eq!(CloseCode::from(4001), CloseCode::Other(4001));
        assert_eq!(CloseCode::Other(4001).to_string(), "4001");
    }

    #[test]
    fn what_may_be_sent_is_what_the_protocol_lets_pass() {
        for (number, may) in [
            (999, false),
            (1000, true),
            (1004, false), // reserved
            (1005, false),
            (1006, false),
            (1014, true),
            (1015, false),
            (2999, false), // reserved
            (3000, true),
            (4999, true),
            (5000, false),
        ] {
            assert_eq!(CloseCode::from(number).may_be_sent(), may, "{number}");
        }
    }
}
