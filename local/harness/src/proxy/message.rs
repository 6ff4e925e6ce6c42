//! The head of an HTTP/1.1 message: its first line, how long its body is, and where it ends.

/// Returns the length of the head at the start of `bytes`, its empty line included.
pub(super) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The path of a request, its query included.
pub(super) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// The length of the body; `None` where the head does not say, as for a chunked one.
pub(super) fn body_length(head: &str) -> Option<usize> {
    header(head, "content-length")?.parse().ok()
}

/// The head with the body's length replaced.
pub(super) fn with_body_length(head: &str, length: usize) -> String {
    let lines = head.trim_end_matches("\r\n").split("\r\n");
    let kept = lines.filter(|line| !names(line, "content-length"));
    let mut head: String = kept.map(|line| format!("{line}\r\n")).collect();
    head.push_str(&format!("content-length: {length}\r\n\r\n"));
    head
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = head.split("\r\n").find(|line| names(line, name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn names(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /a-write/_bulk?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n";

    #[test]
    fn a_head_says_where_it_ends_and_how_long_its_body_is() {
        assert_eq!(head_length(format!("{HEAD}body").as_bytes()), Some(HEAD.len()));
        assert_eq!(head_length(&HEAD.as_bytes()[..HEAD.len() - 1]), None);
        assert_eq!((path(HEAD), body_length(HEAD)), ("/a-write/_bulk?x=1", Some(12)));
        assert_eq!(body_length("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
    }

    #[test]
    fn a_body_can_be_given_another_length() {
        let head = with_body_length(HEAD, 3);
        assert_eq!(head, "POST /a-write/_bulk?x=1 HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\n");
    }
}
