//! Guests of the demo: a random id and a chosen name, in a signed cookie. No accounts, no login.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use demo_model::Guest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use syncline_server::{AuthError, Credentials, User};

/// The name of the cookie.
const COOKIE_NAME: &str = "syncline_demo";

/// How long a browser keeps the cookie, s: a year from the last visit.
const COOKIE_SECONDS: u32 = 365 * 24 * 60 * 60;

const SECRET_BYTES: usize = 32;

/// Signs guests and knows its own signature again.
#[derive(Clone)]
pub(crate) struct Sessions {
    mac: Hmac<Sha256>,
}

impl Sessions {
    /// With the secret that is kept beside the database; made at the first start, readable by its owner only.
    pub(crate) fn beside(database: &Path) -> io::Result<Self> {
        let secret = match fs::read(secret_path(database)) {
            Ok(secret) if secret.len() == SECRET_BYTES => secret,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the session secret is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_secret(&secret_path(database))?,
            Err(error) => return Err(error),
        };
        Self::with_secret(&secret)
    }

    fn with_secret(secret: &[u8]) -> io::Result<Self> {
        let mac = Hmac::new_from_slice(secret).map_err(io::Error::other)?;
        Ok(Self { mac })
    }

    /// With a secret that everybody knows.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::with_secret(&[7; SECRET_BYTES]).unwrap()
    }

    /// A guest nobody has seen before.
    pub(crate) fn new_guest() -> io::Result<Guest> {
        let mut id = [0; 12];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        Ok(Guest { id: id.iter().map(|byte| format!("{byte:02x}")).collect(), name: None })
    }

    /// What proves that a guest is this guest: `base64url(json) . base64url(hmac)`.
    pub(crate) fn sign(&self, guest: &Guest) -> serde_json::Result<String> {
        let body = BASE64.encode(serde_json::to_vec(guest)?);
        let mac = self.mac.clone().chain_update(&body).finalize().into_bytes();
        Ok(format!("{body}.{}", BASE64.encode(mac)))
    }

    /// The guest that a token proves; `None` when nobody here signed it.
    pub(crate) fn verify(&self, token: &str) -> Option<Guest> {
        let (body, mac) = token.split_once('.')?;
        let mac = BASE64.decode(mac).ok()?;
        self.mac.clone().chain_update(body).verify_slice(&mac).ok()?;
        serde_json::from_slice(&BASE64.decode(body).ok()?).ok()
    }

    /// The guest that a request comes from: by its token, or else by its cookie. `seat` tells apart several guests in
    /// one browser.
    pub(crate) fn guest(&self, headers: &HeaderMap, seat: Option<&str>) -> Option<Guest> {
        let bearer =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        bearer.and_then(|token| self.verify(token)).or_else(|| {
            let name = cookie_name(seat);
            self.in_cookies(headers, |key| key == name)
        })
    }

    /// The guest of the first good cookie that has such a name.
    fn in_cookies(&self, headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> Option<Guest> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(key, _)| is_meant(key)).find_map(|(_, token)| self.verify(token))
    }

    /// What tickets are signed with: another secret, that lasts as long as this one. No session is signed like that, as
    /// none has a space in its body.
    pub(crate) fn ticket_secret(&self) -> Vec<u8> {
        self.mac.clone().chain_update("tickets to watch").finalize().into_bytes().to_vec()
    }

    /// What Syncline asks for every connection: who is it? Clients of other protocols cannot say which seat is theirs: they
    /// are whoever sits in this browser.
    pub(crate) fn user(&self, credentials: &Credentials) -> Result<User, AuthError> {
        let guest = match &credentials.token {
            Some(token) => self.verify(token),
            None => {
                let headers = &credentials.headers;
                let any_seat = |key: &str| key.starts_with(COOKIE_NAME);
                self.guest(headers, None).or_else(|| self.in_cookies(headers, any_seat))
            }
        };
        let guest =
            guest.ok_or_else(|| AuthError::new("The session is missing or not one of this server's."))?;
        Ok(User { id: guest.id.into(), name: guest.name })
    }
}

/// The `Set-Cookie` line for a token.
pub(crate) fn set_cookie(token: &str, seat: Option<&str>) -> String {
    let name = cookie_name(seat);
    format!("{name}={token}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax")
}

fn cookie_name(seat: Option<&str>) -> String {
    match seat {
        Some(seat) => format!("{COOKIE_NAME}_{seat}"),
        None => COOKIE_NAME.into(),
    }
}

fn secret_path(database: &Path) -> PathBuf {
    database.with_extension("secret")
}

/// Under its name stands the whole secret or, after a crash, none.
fn make_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = vec![0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let unfinished = unfinished(path);
    write_secret(&unfinished, &secret)?;
    fs::rename(&unfinished, path)?;
    // the name too is to be on disk before anything is signed
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(secret)
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("secret.new")
}

fn write_secret(path: &Path, secret: &[u8]) -> io::Result<()> {
    // what a crash has left there may be readable by others
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::for_tests()
    }

    fn ada() -> Guest {
        Guest { id: "3f2b9c".into(), name: Some("Ada".into()) }
    }

    #[test]
    fn a_signed_guest_is_known_again() {
        let token = sessions().sign(&ada()).unwrap();
        assert_eq!(sessions().verify(&token), Some(ada()));
    }

    #[test]
    fn a_forged_guest_is_nobody() {
        let token = sessions().sign(&ada()).unwrap();
        let (body, mac) = token.split_once('.').unwrap();
        let other_body = BASE64.encode(r#"{"id":"3f2b9c","name":"Eve"}"#);
        let other_server = Sessions::with_secret(&[8; SECRET_BYTES]).unwrap();
        for forged in ["", ".", body, &format!("{body}."), &format!("{other_body}.{mac}")] {
            assert_eq!(sessions().verify(forged), None, "{forged}");
        }
        assert_eq!(other_server.verify(&token), None);
    }

    #[test]
    fn a_token_counts_before_a_cookie_and_each_seat_has_its_own() {
        let (ada, eve) = (ada(), Guest { id: "e0".into(), name: None });
        let sign = |guest: &Guest| sessions().sign(guest).unwrap();
        let mut headers = HeaderMap::new();
        let cookies = format!("a=b; syncline_demo={}; syncline_demo_2={}", sign(&ada), sign(&eve));
        headers.insert(COOKIE, cookies.parse().unwrap());
        assert_eq!(sessions().guest(&headers, None), Some(ada.clone()));
        assert_eq!(sessions().guest(&headers, Some("2")), Some(eve.clone()));
        assert_eq!(sessions().guest(&headers, Some("3")), None);
        headers.insert(AUTHORIZATION, format!("Bearer {}", sign(&eve)).parse().unwrap());
        assert_eq!(sessions().guest(&headers, None), Some(eve));
    }

    #[test]
    fn who_names_no_seat_is_whoever_sits_in_this_browser() {
        let mut headers = HeaderMap::new();
        let cookies =
            format!("a=b; syncline_demo_2=forged; syncline_demo_3={}", sessions().sign(&ada()).unwrap());
        headers.insert(COOKIE, cookies.parse().unwrap());
        let user = |token: Option<&str>| {
            sessions().user(&Credentials { headers: headers.clone(), token: token.map(Into::into) })
        };
        assert_eq!(user(None).unwrap().id.as_str(), ada().id);
        assert!(user(Some("forged")).is_err(), "a token counts before a cookie");
    }

    /// A folder of a test's own for its database.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("syncline-demo-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_secret_survives_a_restart() {
        let folder = folder("restart");
        let database = folder.join("demo.db");
        let token = Sessions::beside(&database).unwrap().sign(&ada()).unwrap();
        assert_eq!(Sessions::beside(&database).unwrap().verify(&token), Some(ada()));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_crash_while_the_secret_is_made_leaves_none() {
        let folder = folder("crash");
        let database = folder.join("demo.db");
        let secret = secret_path(&database);
        // the process ends before the second half is written, or before it is on disk
        write_secret(&unfinished(&secret), &[7; SECRET_BYTES / 2]).unwrap();
        assert!(!secret.exists());

        Sessions::beside(&database).unwrap();
        assert_eq!(fs::read(&secret).unwrap().len(), SECRET_BYTES);
        assert!(!unfinished(&secret).exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
