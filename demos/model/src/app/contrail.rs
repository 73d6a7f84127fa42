//! A contrail service of the visitor's own.

use serde::{Deserialize, Serialize};
use syncline::contrail::Contrail;
use syncline::{Client, Query, Record, TransportPreference};
use syncline_core::{Error, code};

use super::place;

/// How many records are shown.
const RECORDS: u32 = 50;

/// A record of a service's collection `message`: what contrail says of every record, and the text of this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "message", key = uri)]
pub struct ContrailMessage {
    /// Where it is: `at://{did}/{collection}/{rkey}`.
    pub uri: String,
    /// Whose it is.
    pub did: String,
    /// Its key among its author's records.
    pub rkey: String,
    /// When it was made, in µs since 1970.
    pub time_us: i64,
    /// What was said.
    #[serde(default)]
    pub text: String,
}

/// What a visitor says of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrailServer {
    /// Where `/xrpc/` stands; the app's own server when it is empty.
    pub address: String,
    /// What stands before `message.watchRecords` in the method's name.
    pub namespace: String,
    /// The space: an `ats://` address, or the DID of an actor.
    pub space: String,
    /// A ticket, when the service asks for one; or the address of what mints them, since they last two minutes: it is asked
    /// for another one whenever one is needed.
    pub ticket: String,
    /// Who the visitor is there; rows are kept for the next visit when it is said.
    pub identity: String,
    /// Which transports to use.
    pub transport: TransportPreference,
}

impl ContrailServer {
    /// A client of it.
    pub fn connect(&self) -> Client {
        let address = if self.address.is_empty() { place::at_own_server("/") } else { self.address.clone() };
        let service = Contrail::new(&self.namespace);
        let service = match self.ticket.as_str() {
            "" => service,
            path if path.starts_with('/') => {
                let address = place::at_own_server(path);
                service.ticket_with(move |_| minted(address.clone()))
            }
            address if address.starts_with("http://") || address.starts_with("https://") => {
                let address = address.to_owned();
                service.ticket_with(move |_| minted(address.clone()))
            }
            ticket => service.ticket(ticket),
        };
        let service =
            if self.identity.is_empty() { service } else { service.identity(self.identity.as_str()) };
        Client::builder(&address).contrail(service).transport(self.transport).build()
    }

    /// What was said last, as contrail orders it.
    pub fn newest(&self) -> Query<ContrailMessage> {
        ContrailMessage::in_space(self.space.as_str())
            .order_by(ContrailMessage::time_us.desc())
            .order_by(ContrailMessage::rkey.desc())
            .limit(RECORDS)
    }
}

/// A new ticket from the address of `watchTicket`, or of whatever else answers with `{"ticket": …}`.
async fn minted(address: String) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Minted {
        ticket: String,
    }
    let (status, body) = place::post(&address, None, None).await.map_err(no_ticket)?;
    match status {
        200 => serde_json::from_str(&body).map(|Minted { ticket }| ticket).map_err(no_ticket),
        401 | 403 => Err(Error::new(code::UNAUTHENTICATED, "no ticket is given to this visitor")),
        _ => Err(no_ticket(format!("the answer is {status}"))),
    }
}

fn no_ticket(why: impl std::fmt::Display) -> Error {
    Error::new(code::CONNECTION, format!("no ticket: {why}"))
}
