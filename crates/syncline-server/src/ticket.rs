//! Tickets: short-lived, signed statements of who may watch what, for places where neither a cookie nor a header can go.
//!
//! A ticket is `base64url(JSON) + "." + base64url(HMAC-SHA256)`, both unpadded, where the signature is over the first part
//! as it stands. It is made to be given away: whoever holds it may do what it says until it expires. It says nothing
//! that its holder may not know, and no log should show it: [`Ticket`]'s text is never printed by `Debug`.
//!
//! ```
//! use serde_json::json;
//! use syncline_server::ticket::{Claims, Keys, LIFETIME};
//!
//! let keys = Keys::new("2024-11", b"0123456789abcdef0123456789abcdef")?;
//! let now = 1_700_000_000_000;
//! let query = json!({"collection": "messages", "spaceUri": "room-lobby"});
//! let ticket = keys.mint(&Claims::new("ada", now).with_query(query.clone()));
//!
//! let claims = keys.check(ticket.as_str(), now + 1_000)?;
//! assert_eq!((claims.did.as_str(), &claims.query), ("ada", &Some(query)));
//! assert!(keys.check(ticket.as_str(), now + LIFETIME.as_millis() as u64).is_err());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use syncline_core::wire::check_depth;
use syncline_core::{Error, code};

/// How long a ticket is good for.
pub const LIFETIME: Duration = Duration::from_secs(120);

/// The most bytes of a ticket that are looked at.
const MAX_BYTES: usize = 8 * 1024;
const SECRET_BYTES: usize = 32;

/// What a ticket says. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// What may be listened to, `space:…`; contrail's realtime topics.
    pub topics: Vec<String>,
    /// Whose ticket it is.
    pub did: String,
    /// What its owner is called, for rules that ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it is no longer good.
    pub exp: u64,
    /// When it was made.
    pub iat: u64,
    /// When what it opens ends, as what its owner opens with their own credentials does; never, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The one query it is good for, as the watch route describes it.
    #[serde(rename = "querySpec", default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Value>,
    /// Which key it was signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

impl Claims {
    /// For `did`, good for [`LIFETIME`] from `now` on.
    pub fn new(did: impl Into<String>, now: u64) -> Self {
        let exp = now.saturating_add(LIFETIME.as_millis() as u64);
        Self {
            topics: Vec::new(),
            did: did.into(),
            name: None,
            exp,
            iat: now,
            until: None,
            query: None,
            kid: None,
        }
    }

    /// For this query only.
    #[must_use]
    pub fn with_query(mut self, query: Value) -> Self {
        self.query = Some(query);
        self
    }

    /// For somebody of this name.
    #[must_use]
    pub fn with_name(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// Good for so long from the time it was made, instead of [`LIFETIME`].
    #[must_use]
    pub fn good_for(mut self, lifetime: Duration) -> Self {
        self.exp = self.iat.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        self.capped()
    }

    /// For somebody whose own credentials grow old at this time, Unix milliseconds, if ever: what the ticket opens ends
    /// then, and the ticket is no longer good.
    #[must_use]
    pub fn until(mut self, expires_at: Option<u64>) -> Self {
        self.until = expires_at;
        self.capped()
    }

    fn capped(mut self) -> Self {
        self.exp = self.until.map_or(self.exp, |until| self.exp.min(until));
        self
    }

    /// For these topics.
    #[must_use]
    pub fn with_topics(mut self, topics: impl IntoIterator<Item = String>) -> Self {
        self.topics = topics.into_iter().collect();
        self
    }
}

/// A signed ticket. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

impl Ticket {
    /// The text, as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

/// A secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ticket secret is 32 bytes: raw, as 64 hex digits, or as base64")]
pub struct BadSecret;

/// The keys that tickets are signed with: one for new ones, and those that older ones may still have been signed with.
#[derive(Clone)]
pub struct Keys {
    current: Key,
    earlier: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl Keys {
    /// Signs with this key. The secret is 32 bytes, given raw, as 64 hex digits, or as base64 (either alphabet, padded
    /// or not).
    ///
    /// # Errors
    /// When it is none of these.
    pub fn new(id: impl Into<String>, secret: &[u8]) -> Result<Self, BadSecret> {
        Ok(Self { current: Key::new(id.into(), secret)?, earlier: Vec::new() })
    }

    /// Signs with this key from now on; tickets of the ones before stay good. Take a key out, by building without it,
    /// once its tickets have expired.
    ///
    /// # Errors
    /// When the secret is not one.
    pub fn rotated(mut self, id: impl Into<String>, secret: &[u8]) -> Result<Self, BadSecret> {
        let before = std::mem::replace(&mut self.current, Key::new(id.into(), secret)?);
        self.earlier.push(before);
        Ok(self)
    }

    /// Makes a ticket, naming the key it is signed with.
    pub fn mint(&self, claims: &Claims) -> Ticket {
        let claims = Claims { kid: Some(self.current.id.clone()), ..claims.clone() };
        // text, numbers and a JSON value can always be written as JSON
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let signature = URL_SAFE_NO_PAD.encode(self.current.sign(&body));
        Ticket(format!("{body}.{signature}"))
    }

    /// What a ticket says, when it was signed here and is still good. `now` is Unix milliseconds.
    ///
    /// # Errors
    /// `unauthenticated`, the same whatever is wrong with it.
    pub fn check(&self, ticket: &str, now: u64) -> Result<Claims, Error> {
        self.verified(ticket).filter(|claims| now < claims.exp).ok_or_else(bad_ticket)
    }

    fn verified(&self, ticket: &str) -> Option<Claims> {
        let (body, signature) = ticket.split_once('.').filter(|_| ticket.len() <= MAX_BYTES)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let json = URL_SAFE_NO_PAD.decode(body).ok()?;
        // which key it is to be, it says itself: so it is read before anybody knows whose it is
        check_depth(&json, 0).ok()?;
        let claims: Claims = serde_json::from_slice(&json).ok()?;
        // a ticket that names no key, as contrail's do, may be of any
        let named = |key: &&Key| claims.kid.as_ref().is_none_or(|kid| *kid == key.id);
        let mut keys = std::iter::once(&self.current).chain(&self.earlier).filter(named);
        keys.any(|key| key.verifies(body, &signature)).then_some(claims)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("current", &self.current.id).finish_non_exhaustive()
    }
}

impl Key {
    fn new(id: String, secret: &[u8]) -> Result<Self, BadSecret> {
        let secret = raw_secret(secret).ok_or(BadSecret)?;
        Ok(Self { id, mac: Hmac::new_from_slice(&secret).map_err(|_| BadSecret)? })
    }

    fn sign(&self, body: &str) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(body.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    /// In constant time.
    fn verifies(&self, body: &str, signature: &[u8]) -> bool {
        let mut mac = self.mac.clone();
        mac.update(body.as_bytes());
        mac.verify_slice(signature).is_ok()
    }
}

fn raw_secret(given: &[u8]) -> Option<Vec<u8>> {
    if given.len() == SECRET_BYTES {
        return Some(given.to_vec());
    }
    let text = std::str::from_utf8(given).ok()?.trim();
    let hex = || -> Option<Vec<u8>> {
        let is_hex = text.len() == 2 * SECRET_BYTES && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = is_hex.then_some(text.as_bytes())?;
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let base64 = || {
        let either = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let alphabets = [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE];
        alphabets.into_iter().find_map(|alphabet| GeneralPurpose::new(alphabet, either).decode(text).ok())
    };
    hex().or_else(base64).filter(|secret: &Vec<u8>| secret.len() == SECRET_BYTES)
}

fn bad_ticket() -> Error {
    Error::new(code::UNAUTHENTICATED, "the ticket is not good, or no longer")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn keys() -> Keys {
        Keys::new("one", SECRET).unwrap()
    }

    fn claims() -> Claims {
        Claims::new("did:plc:ada", NOW)
            .with_topics(["space:lobby".into()])
            .with_query(json!({"collection": "messages", "spaceUri": "lobby"}))
    }

    #[test]
    fn a_ticket_says_what_was_put_in_until_it_expires() {
        let ticket = keys().mint(&claims());
        let checked = keys().check(ticket.as_str(), NOW + 119_999).unwrap();
        assert_eq!(checked, Claims { kid: Some("one".into()), ..claims() });
        assert_eq!(keys().check(ticket.as_str(), NOW + 120_000).unwrap_err().code(), code::UNAUTHENTICATED);
    }

    #[test]
    fn a_ticket_is_good_for_no_longer_than_its_owners_own_credentials() {
        let hour = Duration::from_secs(3_600);
        for claims in
            [claims().good_for(hour).until(Some(NOW + 5)), claims().until(Some(NOW + 5)).good_for(hour)]
        {
            let ticket = keys().mint(&claims);
            assert_eq!(keys().check(ticket.as_str(), NOW + 4).unwrap().until, Some(NOW + 5));
            assert!(keys().check(ticket.as_str(), NOW + 5).is_err());
        }
        assert_eq!(claims().until(Some(u64::MAX)).exp, NOW + 120_000);
        assert_eq!(claims().good_for(hour).until(None).exp, NOW + 3_600_000);
    }

    #[test]
    fn a_ticket_is_nested_no_deeper_than_it_looks() {
        let hides = json!({"$serde_json::private::RawValue": "[[1]]"});
        let ticket = keys().mint(&claims().with_query(hides));
        assert_eq!(keys().check(ticket.as_str(), NOW).unwrap_err().code(), code::UNAUTHENTICATED);
    }

    #[test]
    fn every_byte_counts() {
        let keys = keys();
        let ticket = keys.mint(&claims());
        for place in 0..ticket.as_str().len() {
            for flip in [0x01, 0x02, 0x20] {
                let mut bytes = ticket.as_str().as_bytes().to_vec();
                bytes[place] ^= flip;
                let Ok(tampered) = String::from_utf8(bytes) else { continue };
                let error = keys.check(&tampered, NOW).expect_err(&tampered);
                assert_eq!(error, bad_ticket(), "no hint which part was wrong");
            }
        }
        for end in 0..ticket.as_str().len() {
            assert!(keys.check(&ticket.as_str()[..end], NOW).is_err());
        }
        assert!(keys.check(&format!("{}A", ticket.as_str()), NOW).is_err());
    }

    #[test]
    fn nonsense_is_a_bad_ticket() {
        let long = format!("{}.{}", "A".repeat(MAX_BYTES), "A".repeat(43));
        for ticket in ["", ".", "..", "a.b", "ä.ö", &long] {
            assert_eq!(keys().check(ticket, NOW).unwrap_err(), bad_ticket());
        }
        // signed, but not claims
        let body = URL_SAFE_NO_PAD.encode(r#"{"did":7}"#);
        let signature = URL_SAFE_NO_PAD.encode(keys().current.sign(&body));
        assert!(keys().check(&format!("{body}.{signature}"), NOW).is_err());
    }

    #[test]
    fn a_key_that_was_rotated_out_of_use_still_checks_what_it_signed() {
        let old = keys().mint(&claims());
        let rotated = keys().rotated("two", &[7; 32]).unwrap();
        let new = rotated.mint(&claims());
        assert!(rotated.check(old.as_str(), NOW).is_ok() && rotated.check(new.as_str(), NOW).is_ok());
        assert!(keys().check(new.as_str(), NOW).is_err());
        assert!(Keys::new("two", &[7; 32]).unwrap().check(old.as_str(), NOW).is_err());
        // a ticket cannot be passed off as another key's
        assert!(Keys::new("three", SECRET).unwrap().check(old.as_str(), NOW).is_err());
    }

    #[test]
    fn a_ticket_of_contrail_names_no_key() {
        let body = URL_SAFE_NO_PAD
            .encode(r#"{"topics":["space:x"],"did":"did:plc:a","exp":1700000120000,"iat":1700000000000}"#);
        let signature = URL_SAFE_NO_PAD.encode(keys().current.sign(&body));
        let checked = keys().check(&format!("{body}.{signature}"), NOW).unwrap();
        assert_eq!((checked.did.as_str(), checked.kid), ("did:plc:a", None));
    }

    #[test]
    fn a_secret_comes_in_three_forms() {
        let ticket = keys().mint(&claims());
        let hex: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(SECRET);
        for secret in [&hex, &base64, base64.trim_end_matches('='), &format!("{hex}\n")] {
            assert!(
                Keys::new("one", secret.as_bytes()).unwrap().check(ticket.as_str(), NOW).is_ok(),
                "{secret}"
            );
        }
        for secret in ["", "short", &"x".repeat(64), &"+f".repeat(32), &"ab".repeat(31)] {
            assert_eq!(Keys::new("one", secret.as_bytes()).unwrap_err(), BadSecret);
        }
    }

    #[test]
    fn secrets_and_tickets_are_not_printed() {
        let ticket = keys().mint(&claims());
        assert_eq!(format!("{ticket:?} {:?}", keys()), r#"Ticket(…) Keys { current: "one", .. }"#);
    }
}
