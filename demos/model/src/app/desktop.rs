//! An app as a desktop program. Its one argument is the address that would be the page's in a browser:
//! `http://127.0.0.1:3000/dioxus/?list=main`. It keeps rows, actions and its guest in the folder for such data of whoever
//! runs it (`$XDG_DATA_HOME`, `%APPDATA%`, `~/Library/Application Support`), apart for each server.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, process};

use chrono::{Local, TimeZone as _, Timelike as _};
use syncline::storage::SqliteStorage;
use url::Url;

use super::Params;

/// Where the demo's server is unless told.
const SERVER: &str = "http://127.0.0.1:3000/";

/// What the program's address says behind `?`.
pub(super) fn parameter(name: &str) -> Option<String> {
    let address = address();
    address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Starts the program again with one of its parameters changed, and with the rest of its address as it is.
pub(super) fn reload_with(name: &str, value: &str) {
    let mut address = address();
    let others: Vec<_> = address.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    address.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    let again = env::current_exe().and_then(|program| Command::new(program).arg(address.as_str()).spawn());
    if again.is_ok() {
        process::exit(0);
    }
}

/// A path at the server that the program was started for.
pub(super) fn at_own_server(path: &str) -> String {
    address().origin().ascii_serialization() + path
}

fn address() -> Url {
    let given = env::args().nth(1).unwrap_or_else(|| SERVER.into());
    match Url::parse(&given) {
        Ok(address) if address.has_host() => address,
        _ => {
            eprintln!("`{given}` is no address; one is {SERVER}?list=main");
            process::exit(2)
        }
    }
}

/// Where the program keeps rows and actions for its next start.
pub fn storage_of(params: &Params) -> SqliteStorage {
    SqliteStorage::new(file(params, "db"))
}

/// Who the program was the last time.
pub(super) fn kept_token(params: &Params) -> Option<String> {
    fs::read_to_string(file(params, "token")).ok()
}

/// Keeps who the program is, for whoever runs it only. Who it is for now does not hang on it.
pub(super) fn keep_token(params: &Params, token: &str) {
    drop(write_token(&file(params, "token"), token));
}

fn write_token(path: &PathBuf, token: &str) -> io::Result<()> {
    let unfinished = path.with_extension("token.new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&unfinished)?.write_all(token.as_bytes())?;
    fs::rename(unfinished, path)
}

/// A file of one guest of one server.
fn file(params: &Params, extension: &str) -> PathBuf {
    let data = dirs::data_dir().unwrap_or_else(env::temp_dir);
    let server = plain(address().origin().ascii_serialization().trim_start_matches("http://"));
    let folder = data.join("syncline-demo").join(server);
    // whoever opens the file says so when there is no such folder
    drop(fs::create_dir_all(&folder));
    folder.join(format!("{}.{extension}", params.guest.as_deref().map_or("guest".into(), plain)))
}

/// A name for a file that no text leaves the folder by.
fn plain(text: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || "-_".contains(char) { char } else { '_' };
    text.chars().map(plain).collect()
}

/// Posts JSON, or nothing, to the demo server. What comes back is the status and the body; an error says why nothing did.
pub(super) async fn post(
    url: &str,
    token: Option<&str>,
    json: Option<String>,
) -> Result<(u16, String), String> {
    let mut request = reqwest::Client::new().post(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(json) = json {
        request = request.header("content-type", "application/json").body(json);
    }
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.text().await.map_err(|error| error.to_string())?;
    Ok((status, body))
}

/// The characters of a query's value.
pub(super) fn escaped(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// The time by this machine's clock, ms since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day at this place, as `14:07`.
pub fn clock_time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Local.timestamp_millis_opt(ms).earliest());
    time.map(|time| format!("{:02}:{:02}", time.hour(), time.minute())).unwrap_or_default()
}
