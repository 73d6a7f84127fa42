//! Where a row stands in a list that people put in order: a text between those of its neighbours.
//!
//! `a0` comes first, then `a1`, `a2`, …; between `a0` and `a1` there is `a0V`, between that and `a1` there is `a0l`. There is always room, so
//! that moving a row changes that row alone. The first letter says how many digits stand before the fraction: a list that
//! only grows at its ends keeps short positions.
//!
//! Two people who put something in the same place at the same time may choose the same position: the rows then stand in
//! the order of their keys. Nothing fits between such rows; they are passed together.

/// The digits, in the order of their bytes.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The longest position, in bytes: some 500 rows, each put between the same two neighbours.
const MAX_BYTES: usize = 100;

/// Which side of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Above it.
    Before,
    /// Below it.
    After,
}

/// Whether a text is a position.
pub fn is_position(text: &str) -> bool {
    text.len() <= MAX_BYTES
        && text.bytes().all(|byte| digit(byte).is_some())
        && split(text)
            .is_some_and(|(whole, fraction)| !fraction.ends_with('0') && !is_smallest(whole, fraction))
}

/// A position beside that of a row: between it and the next other one of `all`.
pub fn beside<'a>(row: &str, side: Side, all: impl IntoIterator<Item = &'a str>) -> String {
    let all = all.into_iter();
    match side {
        Side::Before => between(all.filter(|position| *position < row).max(), Some(row)),
        Side::After => between(Some(row), all.filter(|position| *position > row).min()),
    }
}

/// A position between two others; `None` for the end of the list. What is no position, or not below the other, counts as
/// the end too.
pub fn between(after: Option<&str>, before: Option<&str>) -> String {
    let after = after.filter(|text| is_position(text));
    let before = before.filter(|text| is_position(text) && after.is_none_or(|after| after < *text));
    let after = after.and_then(split);
    let before_parts = before.and_then(split);
    match (after, before_parts) {
        (None, None) => "a0".into(),
        (None, Some((whole, fraction))) => {
            if !fraction.is_empty() && !is_smallest(whole, "") {
                return whole.into();
            }
            match decrement(whole) {
                Some(smallest) if is_smallest(&smallest, "") => format!("{smallest}{}", middle(b"", None)),
                Some(whole) => whole,
                None => format!("{whole}{}", middle(b"", Some(fraction.as_bytes()))),
            }
        }
        (Some((whole, fraction)), None) => {
            increment(whole).unwrap_or_else(|| format!("{whole}{}", middle(fraction.as_bytes(), None)))
        }
        (Some((low, fraction)), Some((high, upper))) => {
            if low == high {
                return format!("{low}{}", middle(fraction.as_bytes(), Some(upper.as_bytes())));
            }
            match increment(low) {
                Some(next) if before.is_some_and(|before| next.as_str() < before) => next,
                _ => format!("{low}{}", middle(fraction.as_bytes(), None)),
            }
        }
    }
}

fn digit(byte: u8) -> Option<usize> {
    DIGITS.binary_search(&byte).ok()
}

/// The whole number of a position, and its fraction.
fn split(text: &str) -> Option<(&str, &str)> {
    let digits = match *text.as_bytes().first()? {
        head @ b'a'..=b'z' => head - b'a' + 1,
        head @ b'A'..=b'Z' => b'Z' - head + 1,
        _ => return None,
    };
    text.split_at_checked(1 + usize::from(digits))
}

/// There is nothing before the smallest number, and so it is no position.
fn is_smallest(whole: &str, fraction: &str) -> bool {
    fraction.is_empty() && whole.starts_with('A') && whole.bytes().skip(1).all(|byte| byte == b'0')
}

/// The next whole number, unless there is none.
fn increment(whole: &str) -> Option<String> {
    let (head, mut digits) = (*whole.as_bytes().first()?, whole.as_bytes().get(1..)?.to_vec());
    for byte in digits.iter_mut().rev() {
        match digit(*byte).and_then(|digit| DIGITS.get(digit + 1)) {
            Some(next) => {
                *byte = *next;
                return number(head, &digits);
            }
            None => *byte = b'0',
        }
    }
    match head {
        b'z' => None,
        b'Z' => Some("a0".into()),
        head if head.is_ascii_lowercase() => number(head + 1, &[digits, vec![b'0']].concat()),
        head => number(head + 1, digits.get(1..)?),
    }
}

/// The whole number before, unless there is none.
fn decrement(whole: &str) -> Option<String> {
    let (head, mut digits) = (*whole.as_bytes().first()?, whole.as_bytes().get(1..)?.to_vec());
    for byte in digits.iter_mut().rev() {
        match digit(*byte)?.checked_sub(1).and_then(|digit| DIGITS.get(digit)) {
            Some(next) => {
                *byte = *next;
                return number(head, &digits);
            }
            None => *byte = b'z',
        }
    }
    match head {
        b'A' => None,
        b'a' => Some("Zz".into()),
        head if head.is_ascii_lowercase() => number(head - 1, digits.get(1..)?),
        head => number(head - 1, &[digits, vec![b'z']].concat()),
    }
}

fn number(head: u8, digits: &[u8]) -> Option<String> {
    String::from_utf8([&[head], digits].concat()).ok()
}

/// A fraction between two others; the second may be a whole one. Both get shorter, so that it ends.
fn middle(low: &[u8], high: Option<&[u8]>) -> String {
    let mut between: Vec<u8> = Vec::new();
    let (mut low, mut high) = (low, high);
    loop {
        let first = low.first().copied().and_then(digit).unwrap_or(0);
        let last = high.and_then(|high| digit(*high.first()?)).unwrap_or(DIGITS.len());
        if last > first + 1 {
            between.extend(DIGITS.get((first + last).div_ceil(2)));
            break;
        }
        if last == first + 1 && high.is_some_and(|high| high.len() > 1) {
            between.extend(DIGITS.get(last));
            break;
        }
        // they begin alike, or there is room only behind the first
        between.extend(DIGITS.get(first));
        high = if last > first { None } else { high.map(|high| high.get(1..).unwrap_or_default()) };
        low = low.get(1..).unwrap_or_default();
    }
    between.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_at_its_ends() {
        let (mut first, mut last) = (between(None, None), between(None, None));
        assert_eq!(last, "a0");
        for _ in 0..10_000 {
            let (above, below) = (between(None, Some(&first)), between(Some(&last), None));
            assert!(above < first && last < below, "{above} {first} {last} {below}");
            assert!(is_position(&above) && is_position(&below));
            (first, last) = (above, below);
        }
        assert!(first.len() <= 4 && last.len() <= 4, "{first} {last}");
    }

    #[test]
    fn there_is_always_room_between_two() {
        for below in [true, false] {
            let (mut low, mut high) = ("a0".to_owned(), "a1".to_owned());
            for _ in 0..400 {
                let new = between(Some(&low), Some(&high));
                assert!(low < new && new < high, "{low} {new} {high}");
                assert!(is_position(&new), "{new}");
                *if below { &mut high } else { &mut low } = new;
            }
        }
        for (low, high, new) in [
            ("a0", "a1", "a0V"),
            ("a0V", "a1", "a0l"),
            ("Zz", "a0", "ZzV"),
            ("a0", "a9", "a1"),
            ("a0V", "a0W", "a0VV"),
        ] {
            assert_eq!(between(Some(low), Some(high)), new);
        }
    }

    #[test]
    fn the_ends_of_what_can_be_counted_are_no_end() {
        let (smallest, largest) = (format!("A{}1", "0".repeat(25)), "z".repeat(27));
        assert!(between(None, Some(&smallest)) < smallest);
        assert!(between(Some(&largest), None) > largest);
    }

    #[test]
    fn a_row_is_put_beside_another_one() {
        let all = ["a0", "a1", "a1", "a2"];
        let beside = |row, side| super::beside(row, side, all);
        let place = |position: &str| all.iter().filter(|other| **other < position).count();
        assert_eq!(place(&beside("a0", Side::Before)), 0);
        assert_eq!(place(&beside("a2", Side::Before)), 3);
        assert_eq!(place(&beside("a2", Side::After)), 4);
        // two in one place are passed together
        assert_eq!((place(&beside("a1", Side::Before)), place(&beside("a1", Side::After))), (1, 3));
    }

    #[test]
    fn not_every_text_is_a_position() {
        for text in [
            "",
            "a",
            "b0",
            "0",
            "a00",
            "aä",
            "a0 ",
            &format!("A{}", "0".repeat(26)),
            &format!("a0{}", "1".repeat(99)),
        ] {
            assert!(!is_position(text), "{text}");
        }
        // and what is none is in nobody's way
        assert_eq!(between(Some("?"), Some("a0")), "Zz");
        assert_eq!(between(Some("a1"), Some("a1")), "a2");
    }
}
