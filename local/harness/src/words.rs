//! Numbers with their nouns, in the singular where there is one.

/// Joins a number and its noun: `1 dead letter`, `2 dead letters`. The plural takes an `s`, `es` after `ch` and `ss`,
/// and `ies` for `y`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("ch") || noun.ends_with("ss") => format!("{number} {noun}es"),
        _ => match noun.strip_suffix('y') {
            Some(stem) => format!("{number} {stem}ies"),
            None => format!("{number} {noun}s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "dead letter"), "1 dead letter");
        assert_eq!(counted(0, "dead letter"), "0 dead letters");
        assert_eq!(counted(2, "batch"), "2 batches");
        assert_eq!(counted(2, "process"), "2 processes");
        assert_eq!(counted(2, "modify"), "2 modifies");
    }
}
