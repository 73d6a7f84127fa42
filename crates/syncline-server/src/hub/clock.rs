//! The engine's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The longest nap: what the engine waits for may be centuries away.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Unix time that never goes back and never stands still.
pub(crate) struct Clock {
    start: Instant,
    reckoning: Reckoning,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), reckoning: Reckoning::default() }
    }

    /// Unix ms.
    pub(crate) fn now(&mut self) -> u64 {
        self.reckoning.now(self.elapsed(), wall_ms())
    }

    /// When it will be `time` by the system's clock as it is set now, in Unix ms of this one. What comes from outside,
    /// such as when credentials grow old, is meant by the former.
    pub(crate) fn when(&mut self, time: u64) -> u64 {
        self.reckoning.when(time, self.elapsed(), wall_ms())
    }

    /// When a deadline in Unix ms is due, or earlier.
    pub(crate) fn instant(&mut self, deadline: Option<u64>) -> Instant {
        let now = self.now();
        let wait = deadline.map_or(LONGEST, |deadline| Duration::from_millis(deadline.saturating_sub(now)));
        Instant::now() + wait.min(LONGEST)
    }

    fn elapsed(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

/// What the time is, from how long this has run and what the system's clock says, both in ms. Where the system's is
/// ahead, because the machine slept or the clock was set, it counts; where it was set back, time goes on from where it was,
/// at its pace, and stays ahead of it.
#[derive(Default)]
struct Reckoning {
    origin: u64,
}

impl Reckoning {
    fn now(&mut self, elapsed: u64, wall: u64) -> u64 {
        self.origin = self.origin.max(wall.saturating_sub(elapsed));
        self.origin.saturating_add(elapsed)
    }

    fn when(&mut self, time: u64, elapsed: u64, wall: u64) -> u64 {
        let ahead = self.now(elapsed, wall).saturating_sub(wall);
        time.saturating_add(ahead)
    }
}

fn wall_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1_000;

    #[test]
    fn it_follows_the_systems_clock_forward_and_goes_on_at_its_pace_where_that_is_set_back() {
        let mut reckoning = Reckoning::default();
        let readings = [
            (0, 10 * HOUR),
            (1_000, 10 * HOUR + 1_000),
            // the machine slept
            (2_000, 13 * HOUR),
            // set forward by mistake, and back a second later
            (3_000, 20 * HOUR),
            (4_000, 13 * HOUR + 2_000),
            (5_000, 13 * HOUR + 3_000),
        ];
        let told = readings.map(|(elapsed, wall)| reckoning.now(elapsed, wall));
        let expected =
            [10 * HOUR, 10 * HOUR + 1_000, 13 * HOUR, 20 * HOUR, 20 * HOUR + 1_000, 20 * HOUR + 2_000];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_the_systems_clock_is_to_say_comes_when_it_says_it() {
        let mut reckoning = Reckoning::default();
        assert_eq!(reckoning.when(11 * HOUR, 0, 10 * HOUR), 11 * HOUR);
        // set back by two hours: credentials that are good for five minutes are not good for two hours less
        let (wall, five_minutes) = (8 * HOUR, HOUR / 12);
        let until = reckoning.when(wall + five_minutes, 0, wall);
        assert_eq!(until - reckoning.now(0, wall), five_minutes);
        assert!(until > reckoning.now(five_minutes - 1, wall + five_minutes - 1));
        assert_eq!(until, reckoning.now(five_minutes, wall + five_minutes));
        // what has expired has expired
        assert!(reckoning.when(wall, 1_000, wall + 1_000) < reckoning.now(1_000, wall + 1_000));
        assert_eq!(reckoning.when(u64::MAX, 1_000, wall), u64::MAX);
    }
}
