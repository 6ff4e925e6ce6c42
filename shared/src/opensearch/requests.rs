//! Requests that the functions send to the engine: by method, path and parameters.
//!
//! The README of `replicate` lists them beside what is known of engines that no test runs on. Debug builds refuse any
//! other request, so each test on a real engine shows that the list is complete.

use opensearch::http::Method;

/// Each request, with the parameters that it may have.
const REQUESTS: [(&str, &[&str]); 14] = [
    ("POST /{index}/_bulk", &["require_alias", "routing"]),
    ("POST /{index}/_mget", &["realtime", "routing", "_source", "filter_path"]),
    ("POST /{index}/_search", &["preference", "filter_path"]),
    ("POST /{index}/_count", &[]),
    ("POST /{index}/_msearch", &[]),
    ("PUT /{index}", &[]),
    ("GET /{index}", &["expand_wildcards", "filter_path"]),
    ("DELETE /{index}", &[]),
    ("GET /{index}/_mapping", &["filter_path"]),
    ("PUT /{index}/_mapping", &[]),
    ("GET /{index}/_settings", &["filter_path"]),
    ("PUT /{index}/_settings", &[]),
    ("POST /{index}/_refresh", &[]),
    ("POST /_aliases", &[]),
];

/// Returns `true` if the list has a request with all its parameters.
pub(super) fn is_listed(method: Method, path: &str) -> bool {
    let method = match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Head => "HEAD",
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let target = path.trim_start_matches('/');
    let request = match target.split_once('/') {
        Some((_, operation)) => format!("{method} /{{index}}/{operation}"),
        None if target.starts_with('_') => format!("{method} /{target}"),
        None => format!("{method} /{{index}}"),
    };
    let mut given = query.split('&').filter_map(|parameter| parameter.split('=').next());
    REQUESTS
        .iter()
        .find(|(listed, _)| *listed == request)
        .is_some_and(|(_, parameters)| given.all(|parameter| parameter.is_empty() || parameters.contains(&parameter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_listed_with_its_parameters_or_not_at_all() {
        for (method, path, listed) in [
            (Method::Post, "/i-write-1/_bulk?require_alias=true", true),
            (Method::Post, "/i-write-1/_bulk?require_alias=true&routing=a%26b", true),
            (Method::Get, "/i-%2A?expand_wildcards=all&filter_path=error", true),
            (Method::Post, "/_aliases", true),
            (Method::Post, "/i-write-1/_bulk?refresh=true", false),
            (Method::Post, "/_bulk", false),
            (Method::Get, "/i/_mget", false),
            (Method::Head, "/i", false),
        ] {
            assert_eq!(is_listed(method, path), listed, "{method:?} {path}");
        }
    }

    #[test]
    fn the_page_lists_each_request() {
        let page = include_str!("../../../functions/replicate/README.md");
        let quoted = |text: &str| text.trim().trim_matches('`').to_owned();
        let rows: Vec<(String, Vec<String>)> = page
            .lines()
            .filter(|line| {
                ["GET", "PUT", "POST", "DELETE"].iter().any(|method| line.starts_with(&format!("| `{method} /")))
            })
            .map(|line| {
                let cells: Vec<&str> = line.split('|').collect();
                let parameters = cells[2].split(',').map(quoted).filter(|parameter| !parameter.is_empty());
                (quoted(cells[1]), parameters.collect())
            })
            .collect();
        let expected: Vec<(String, Vec<String>)> = REQUESTS
            .iter()
            .map(|(request, parameters)| {
                ((*request).to_owned(), parameters.iter().map(|parameter| (*parameter).to_owned()).collect())
            })
            .collect();
        assert_eq!(rows, expected);
    }
}
