//! As much of HTTP/1.1 (RFC 9112) as it takes to be asked for one page.

/// Longest head of a request, in bytes.
pub(super) const MAX_HEAD: usize = 8192;
/// The page.
pub(super) const PATH: &str = "/metrics";

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// With the page.
    Ok,
    /// It is no request.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// The page can only be read.
    MethodNotAllowed,
    /// It did not come in time.
    RequestTimeout,
    /// Its head is too long.
    HeaderFieldsTooLarge,
    /// Of HTTP this version is not known here.
    VersionNotSupported,
    /// The data plane does not answer.
    ServiceUnavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::HeaderFieldsTooLarge => "431 Request Header Fields Too Large",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
            Self::ServiceUnavailable => "503 Service Unavailable",
        }
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Only the head of the answer is wanted.
    pub(super) head_only: bool,
}

/// Reads the request whose bytes have come so far. `None`: it goes on. `before`: in so many of them it was known not to end.
pub(super) fn parse(bytes: &[u8], before: usize) -> Option<Result<Request, Status>> {
    const END: &[u8] = b"\r\n\r\n";
    let from = before.saturating_sub(END.len() - 1);
    let mut rest = bytes.get(from..).unwrap_or_default().windows(END.len());
    let end = rest.position(|window| window == END).map(|end| from + end);
    match end {
        Some(end) if end + END.len() <= MAX_HEAD => Some(parse_head(bytes.get(..end).unwrap_or_default())),
        None if bytes.len() < MAX_HEAD => None,
        _ => Some(Err(Status::HeaderFieldsTooLarge)),
    }
}

fn parse_head(head: &[u8]) -> Result<Request, Status> {
    let head = std::str::from_utf8(head).map_err(|_| Status::BadRequest)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    let mut hosts = 0;
    for line in lines {
        let (name, _) = line.split_once(':').ok_or(Status::BadRequest)?;
        // Section 5.1: there is no white space before the colon, and no line goes on in the next one (5.2).
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(Status::BadRequest);
        }
        hosts += usize::from(name.eq_ignore_ascii_case("host"));
    }
    match version {
        // Section 3.2: one Host, not fewer and not more.
        "HTTP/1.1" if hosts != 1 => return Err(Status::BadRequest),
        "HTTP/1.0" | "HTTP/1.1" => {}
        other if other.starts_with("HTTP/") => return Err(Status::VersionNotSupported),
        _ => return Err(Status::BadRequest),
    }
    // Section 3.2.2: a client may name the host in the target, as it does with proxies.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => target,
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if path != PATH {
        return Err(Status::NotFound);
    }
    match method {
        "GET" => Ok(Request { head_only: false }),
        "HEAD" => Ok(Request { head_only: true }),
        _ => Err(Status::MethodNotAllowed),
    }
}

/// The head of an answer that is followed by so many bytes. Each connection is for one answer.
pub(super) fn head(status: Status, content_type: &str, length: usize) -> String {
    let allow = match status {
        Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n",
        status.line()
    )
}

/// What somebody reads who gets no page.
pub(super) fn explanation(status: Status) -> String {
    match status {
        Status::NotFound => format!("{}; what there is: {PATH}\n", status.line()),
        _ => format!("{}\n", status.line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(request: &str) -> Option<Result<Request, Status>> {
        parse(request.as_bytes(), 0)
    }

    #[test]
    fn requests_are_read_as_rfc_9112_says() {
        let page = Some(Ok(Request { head_only: false }));
        for request in [
            "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /metrics?x=/y HTTP/1.1\r\nhost:a\r\nAccept: text/plain;version=0.0.4\r\n\r\nbody",
            "GET http://a:9273/metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /metrics HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(parsed(request), page, "{request}");
        }
        let head = "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parsed(head), Some(Ok(Request { head_only: true })));
        for end in 0..head.len() {
            assert_eq!(parsed(&head[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_number() {
        let long = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(MAX_HEAD));
        let ended = format!("{long}\r\n\r\n");
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Status::NotFound),
            ("GET /metricsx HTTP/1.1\r\nHost: a\r\n\r\n", Status::NotFound),
            ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", Status::NotFound),
            (
                "POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::MethodNotAllowed,
            ),
            (
                "get /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::MethodNotAllowed,
            ),
            ("GET /metrics HTTP/1.1\r\n\r\n", Status::BadRequest),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Status::BadRequest,
            ),
            ("GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", Status::BadRequest),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
                Status::BadRequest,
            ),
            ("GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Status::BadRequest),
            ("GET /metrics\r\n\r\n", Status::BadRequest),
            ("\r\n\r\n", Status::BadRequest),
            (
                "GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n",
                Status::VersionNotSupported,
            ),
            ("GET /metrics SSH/2.0\r\nHost: a\r\n\r\n", Status::BadRequest),
            (&long, Status::HeaderFieldsTooLarge),
            (&ended, Status::HeaderFieldsTooLarge),
        ] {
            assert_eq!(parsed(request), Some(Err(status)), "{request}");
        }
        // However it comes in pieces.
        let (request, status) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Status::NotFound);
        for size in 1..request.len() {
            let mut come = 0;
            let parsed = loop {
                let before = come;
                come = request.len().min(before + size);
                if let Some(parsed) = parse(&request.as_bytes()[..come], before) {
                    break parsed;
                }
                assert!(come < request.len(), "{size}");
            };
            assert_eq!((parsed, come), (Err(status), request.len()));
        }
        assert_eq!(
            parse(b"GET \xff HTTP/1.0\r\n\r\n", 0),
            Some(Err(Status::BadRequest))
        );
        let answer = head(Status::MethodNotAllowed, "text/plain", 3);
        assert!(
            answer.contains("Allow: GET, HEAD\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
}
