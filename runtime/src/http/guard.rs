//! While no key exists, a page in a browser must not drive the local server: neither through a name that resolves to
//! loopback (DNS rebinding) nor by a request from a foreign origin.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use super::error::ApiError;
use super::{Http, identity};

/// Answers 403 to what a browser sends on behalf of a page that is not ours. Off as soon as a key exists.
pub(super) async fn refuse_foreign_pages(
    State(http): State<Http>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if identity::is_keyless(&http) {
        check(request.uri(), request.headers())?;
    }
    Ok(next.run(request).await)
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = uri.authority().map(Authority::as_str).or_else(|| {
        headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
    });
    if !host.is_some_and(is_loopback) {
        return Err(ApiError::forbidden(
            "foreign_host",
            "without keys only requests for `localhost` or a loopback address are served: `quoin keys create` makes a key",
        ));
    }
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        !origin
            .to_str()
            .is_ok_and(|origin| is_own_origin(origin, host))
    });
    let foreign_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    if foreign_origin || foreign_site {
        return Err(ApiError::forbidden(
            "foreign_origin",
            "without keys, pages of other origins are not served: `quoin keys create` makes a key",
        ));
    }
    Ok(())
}

/// An origin is ours when it is the host that the request is for.
fn is_own_origin(origin: &str, host: Option<&str>) -> bool {
    origin
        .strip_prefix("http://")
        .is_some_and(|authority| Some(authority) == host)
}

fn is_loopback(authority: &str) -> bool {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let bare = authority
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(authority);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = authority
        .rsplit_once(':')
        .map_or(authority, |(name, _port)| name);
    name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{check, is_loopback};

    #[test]
    fn loopback_names_and_addresses_are_known() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]:8080",
            "[::1]",
            "127.9.9.9",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1:8080",
            "",
            "[::2]:1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_foreign_origin_or_site_is_refused_and_our_own_is_not()
    -> Result<(), Box<dyn std::error::Error>> {
        let cases = [
            (vec![("host", "localhost:8080")], true),
            (
                vec![
                    ("host", "localhost:8080"),
                    ("origin", "http://localhost:8080"),
                ],
                true,
            ),
            (
                vec![
                    ("host", "localhost:8080"),
                    ("origin", "http://localhost:3000"),
                ],
                false,
            ),
            (
                vec![
                    ("host", "localhost:8080"),
                    ("origin", "https://evil.example"),
                ],
                false,
            ),
            (vec![("host", "localhost:8080"), ("origin", "null")], false),
            (
                vec![("host", "localhost:8080"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                vec![("host", "localhost:8080"), ("sec-fetch-site", "none")],
                true,
            ),
            (vec![("host", "evil.example")], false),
            (vec![], false),
        ];
        for (pairs, allowed) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in &pairs {
                headers.insert(*name, value.parse()?);
            }
            assert_eq!(
                check(&"/v1/models".parse()?, &headers).is_ok(),
                allowed,
                "{pairs:?}"
            );
        }
        Ok(())
    }
}
