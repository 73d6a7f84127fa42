//! Reading a space back.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use syncline_core::id::Incarnation;
use syncline_core::space::{ClientRecord, LogEntry, SpaceImage, StoredRow};
use syncline_core::{SpaceId, Version};

use crate::storage::sqlite::Problem;

/// Where a stored space stands.
pub(super) struct Stored {
    /// What the other tables call it.
    pub(super) number: i64,
    pub(super) incarnation: Incarnation,
    pub(super) version: Version,
}

impl Stored {
    pub(super) fn find(connection: &Connection, space: &SpaceId) -> Result<Option<Self>, Problem> {
        let mut find =
            connection.prepare_cached("SELECT number, incarnation, version FROM space WHERE id = ?1")?;
        let found = find.query_row([space.as_str()], |row| {
            Ok(Self {
                number: row.get(0)?,
                incarnation: Incarnation(unsigned(row, 1)?),
                version: unsigned(row, 2)?,
            })
        });
        Ok(found.optional()?)
    }
}

/// Everything of a space, as of one version.
pub(super) fn load(connection: &mut Connection, space: &SpaceId) -> Result<SpaceImage, Problem> {
    // one read transaction: a commit of the meantime is in all parts or in none
    let transaction = connection.transaction()?;
    let Some(stored) = Stored::find(&transaction, space)? else {
        return Ok(SpaceImage::default());
    };
    Ok(SpaceImage {
        incarnation: Some(stored.incarnation),
        version: stored.version,
        rows: rows(&transaction, stored.number)?,
        log: log(&transaction, stored.number)?,
        clients: clients(&transaction, stored.number)?,
    })
}

fn rows(connection: &Connection, space: i64) -> Result<Vec<StoredRow>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT collection, key, version, json FROM space_row WHERE space = ?1 ORDER BY collection, key",
    )?;
    let rows = select.query_map(params![space], |row| {
        Ok(StoredRow {
            collection: row.get(0)?,
            key: row.get(1)?,
            version: unsigned(row, 2)?,
            json: row.get::<_, String>(3)?.into_bytes(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn log(connection: &Connection, space: i64) -> Result<Vec<LogEntry>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT version, client, write, user, at, kind, touched FROM space_log WHERE space = ?1 ORDER BY version",
    )?;
    let mut rows = select.query(params![space])?;
    let mut log = Vec::new();
    while let Some(row) = rows.next()? {
        log.push(LogEntry {
            version: unsigned(row, 0)?,
            client: row.get::<_, String>(1)?.into(),
            write: unsigned(row, 2)?,
            user: row.get::<_, String>(3)?.into(),
            at: unsigned(row, 4)?,
            kind: row.get(5)?,
            touched: serde_json::from_str(row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?)?,
        });
    }
    Ok(log)
}

fn clients(connection: &Connection, space: i64) -> Result<Vec<ClientRecord>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT client, user, last, refused, seen, outputs FROM space_client WHERE space = ?1 ORDER BY client",
    )?;
    let mut rows = select.query(params![space])?;
    let mut clients = Vec::new();
    while let Some(row) = rows.next()? {
        clients.push(ClientRecord {
            client: row.get::<_, String>(0)?.into(),
            user: row.get::<_, String>(1)?.into(),
            last: unsigned(row, 2)?,
            refused: serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
            seen: unsigned(row, 4)?,
            outputs: serde_json::from_str(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)?,
        });
    }
    Ok(clients)
}

// SQLite's integers are signed; the bits are kept as they are
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}
