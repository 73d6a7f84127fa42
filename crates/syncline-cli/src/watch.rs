//! `watch` and `tail`.

use syncline_core::Error;
use syncline_core::wire::ClientMessage;

use crate::End;
use crate::args::{Server, Watch};
use crate::line::{Line, Way, random};
use crate::output::Output;
use crate::rows::{Change, News, Rows};

pub(crate) async fn run(server: Server, watch: Watch, output: &mut Output) -> Result<(), End> {
    let mut way = Way::to(server, output.is_json())?;
    let mut rows = Rows::new(watch.query, watch.key);
    loop {
        let mut line = way.connect().await?;
        let lost = follow(&mut line, &mut rows, watch.changes_alone, output).await?;
        way.lost(line, lost).await?;
    }
}

/// Shows what comes over one connection. Gives the reason for which it ended.
async fn follow(
    line: &mut Line,
    rows: &mut Rows,
    changes_alone: bool,
    output: &mut Output,
) -> Result<Error, End> {
    let subscribe = ClientMessage::Subscribe(rows.subscribe(random()?, line.frame_bytes));
    if let Err(lost) = line.say(&subscribe).await {
        return Ok(lost);
    }
    loop {
        let frame = match line.hear().await {
            Ok(frame) => frame,
            Err(lost) => return Ok(lost),
        };
        let news = match rows.take(&frame) {
            Ok(news) => news,
            // the line is of no use any more, but another one may be
            Err(error) if error.is_temporary() => return Ok(error),
            Err(error) => return Err(error.into()),
        };
        if let Some(news) = news {
            show(&news, rows.len(), changes_alone, output)?;
        }
    }
}

fn show(news: &News, rows: usize, changes_alone: bool, output: &mut Output) -> Result<(), End> {
    for (key, row) in news.rows.iter().filter(|_| !changes_alone) {
        output.row(key, row)?;
    }
    for change in &news.changes {
        match change {
            Change::Put { key, before, row } => output.put(key, before.as_ref(), row, news.version)?,
            Change::Delete { key } => output.delete(key, news.version)?,
        }
    }
    if news.complete {
        output.live(rows, news.version)?;
    }
    Ok(())
}
