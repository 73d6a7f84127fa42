//! What is said in a room while somebody is in it, for those who hear a page and do not see it.

use std::collections::HashSet;

use syncline::User;

use crate::Message;

/// Tells what is new from what was only loaded.
#[derive(Clone, Debug, Default)]
pub struct News {
    room: String,
    is_live: bool,
    known: HashSet<String>,
    // what is older than all that a full window showed was there before; in a shorter one all there is is shown
    since: u64,
    // how many messages were in that window
    full: usize,
}

impl News {
    /// Takes what a room shows now, newest first and `limit` at most, and gives what to say of it instead of what was said
    /// last; `None` when that is still good. What comes with a room, with older messages or with a new connection is not news,
    /// nor is what `me` has said.
    pub fn heard(
        &mut self,
        room: &str,
        limit: u32,
        is_live: bool,
        messages: &[Message],
        me: Option<&User>,
    ) -> Option<Vec<Message>> {
        let follows = is_live && self.is_live && self.room == room;
        let is_news = |message: &&Message| {
            !self.known.contains(&message.id)
                && message.sent_at >= self.since
                && me.is_none_or(|me| me.id != message.author.as_str())
        };
        let news: Vec<_> = messages.iter().rev().filter(|_| follows).filter(is_news).cloned().collect();
        let is_full = messages.len() >= limit as usize;
        let (since, full) = match messages.last() {
            Some(oldest) if is_full => (oldest.sent_at, messages.len()),
            // a window that was full may get back what is older than all it shows
            _ if self.room == room && (!is_live || messages.len() <= self.full) => (self.since, self.full),
            _ => (0, 0),
        };
        *self = Self {
            room: room.into(),
            is_live,
            known: messages.iter().map(|message| message.id.clone()).collect(),
            since,
            full,
        };
        (!follows || !news.is_empty()).then_some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of Ada's by its time.
    fn message(sent_at: u64) -> Message {
        let (id, text) = (sent_at.to_string(), sent_at.to_string());
        Message { id, author: "3f2b".into(), author_name: "Ada".into(), text, sent_at }
    }

    fn heard(news: &mut News, room: &str, limit: u32, is_live: bool, times: &[u64]) -> Option<Vec<u64>> {
        let messages: Vec<_> = times.iter().map(|time| message(*time)).collect();
        let heard = news.heard(room, limit, is_live, &messages, None)?;
        Some(heard.iter().map(|message| message.sent_at).collect())
    }

    #[test]
    fn only_what_comes_in_meanwhile_is_news() {
        let mut news = News::default();
        let nothing = Some(Vec::new());
        assert_eq!(heard(&mut news, "lobby", 5, false, &[6, 5]), nothing);
        assert_eq!(heard(&mut news, "lobby", 5, true, &[7, 6, 5]), nothing, "it came with the connection");
        assert_eq!(heard(&mut news, "lobby", 5, true, &[9, 8, 7, 6, 5]), Some(vec![8, 9]));
        assert_eq!(heard(&mut news, "lobby", 5, true, &[9, 8, 7, 6, 5]), None);
        assert_eq!(heard(&mut news, "lobby", 7, true, &[9, 8, 7, 6, 5, 4, 3]), None, "these are older");
        assert_eq!(heard(&mut news, "lobby", 7, true, &[8, 7, 6, 5, 4, 3, 2]), None, "one was taken back");
        assert_eq!(heard(&mut news, "random", 7, true, &[20]), nothing);
    }

    #[test]
    fn who_writes_with_a_slow_clock_is_heard_too() {
        let mut news = News::default();
        heard(&mut news, "lobby", 50, true, &[7]);
        assert_eq!(heard(&mut news, "lobby", 50, true, &[7, 5]), Some(vec![5]));
    }

    #[test]
    fn what_fills_the_window_up_again_is_older() {
        let mut news = News::default();
        heard(&mut news, "lobby", 3, true, &[9, 8, 7]);
        assert_eq!(heard(&mut news, "lobby", 3, true, &[9, 7]), None, "the next one is still to come");
        assert_eq!(heard(&mut news, "lobby", 3, true, &[9, 7, 6]), None);
        assert_eq!(heard(&mut news, "random", 3, true, &[9, 8]), Some(Vec::new()));
        assert_eq!(
            heard(&mut news, "random", 3, true, &[9, 8, 5]),
            Some(vec![5]),
            "another room, another window"
        );
    }

    #[test]
    fn who_has_loaded_all_there_is_hears_slow_clocks_again() {
        let mut news = News::default();
        heard(&mut news, "lobby", 3, true, &[9, 8, 7]);
        assert_eq!(heard(&mut news, "lobby", 6, true, &[9, 8, 7, 4]), None, "these are older");
        assert_eq!(heard(&mut news, "lobby", 6, true, &[9, 8, 7, 5, 4]), Some(vec![5]));
    }

    #[test]
    fn nobody_is_told_what_they_have_said() {
        let (mut news, me) = (News::default(), User { id: "3f2b".into(), name: None });
        assert_eq!(news.heard("lobby", 50, true, &[], Some(&me)), Some(Vec::new()));
        assert_eq!(news.heard("lobby", 50, true, &[message(1)], Some(&me)), None);
    }
}
