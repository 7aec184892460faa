//! The client's side of a request: a GET, or a vote, as bytes.

use bytes::BytesMut;

use super::head::{MAC_FIELD, mac_text};

/// Appends a GET of `/state.json` below `path` (empty, or with a leading and without a trailing
/// slash) to `output`. `host` is a name or a literal address without brackets, `port` is given
/// unless it is the scheme's own.
pub fn write_request(host: &str, port: Option<u16>, path: &str, output: &mut BytesMut) {
    write_get(host, port, &format!("{path}/state.json"), output);
}

/// Appends a GET of `target` to `output`.
pub fn write_get(host: &str, port: Option<u16>, target: &str, output: &mut BytesMut) {
    output.extend_from_slice(head("GET", host, port, target).as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// Appends a POST of nothing to `target` to `output`.
pub fn write_post(host: &str, port: Option<u16>, target: &str, output: &mut BytesMut) {
    output.extend_from_slice(head("POST", host, port, target).as_bytes());
    output.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// Appends a POST of `body` to `/vote` below `path` with its authentication code to `output`.
pub fn write_vote(
    (host, port, path): (&str, Option<u16>, &str),
    mac: &[u8; 32],
    body: &[u8],
    output: &mut BytesMut,
) {
    let (mac, length) = (mac_text(mac), body.len());
    let head = head("POST", host, port, &format!("{path}/vote"));
    let fields = format!(
        "Content-Type: application/json\r\nContent-Length: {length}\r\n{MAC_FIELD}: {mac}\r\n\r\n"
    );
    output.extend_from_slice(head.as_bytes());
    output.extend_from_slice(fields.as_bytes());
    output.extend_from_slice(body);
}

/// All but the fields of the body, and the empty line.
fn head(method: &str, host: &str, port: Option<u16>, target: &str) -> String {
    let target = percent_encoded(target);
    // A zone means something on this machine only (RFC 9110, section 7.2, wants the URI's host; RFC
    // 6874, section 4).
    let host = match host.split_once('%') {
        Some((address, _zone)) if address.contains(':') => address,
        _ => host,
    };
    let host = if host.contains(':') {
        format!("[{}]", percent_encoded(host))
    } else {
        percent_encoded(host)
    };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: pglookout\r\nAccept: application/json\r\n\
         Connection: keep-alive\r\n"
    )
}

/// Percent-encodes whatever would end a word of the request line or of a header field.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_graphic() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asks(host: &str, port: Option<u16>, path: &str, line: &str, host_field: &str) {
        let mut output = BytesMut::new();
        write_request(host, port, path, &mut output);
        let expected = format!(
            "{line}\r\nHost: {host_field}\r\nUser-Agent: pglookout\r\nAccept: application/json\r\n\
             Connection: keep-alive\r\n\r\n"
        );
        assert_eq!(output, expected.as_bytes());
    }

    #[test]
    fn requests_name_host_and_path() {
        asks(
            "2.3.4.5",
            Some(15000),
            "",
            "GET /state.json HTTP/1.1",
            "2.3.4.5:15000",
        );
        asks(
            "o.example",
            None,
            "/below/here",
            "GET /below/here/state.json HTTP/1.1",
            "o.example",
        );
        asks(
            "fe80::1%eth0",
            Some(15000),
            "",
            "GET /state.json HTTP/1.1",
            "[fe80::1]:15000",
        );
        asks(
            "a\r\nb",
            None,
            "/\u{e4} \r\nX: y",
            "GET /%C3%A4%20%0D%0AX:%20y/state.json HTTP/1.1",
            "a%0D%0Ab",
        );
        asks(
            "::\r\nX: y",
            None,
            "",
            "GET /state.json HTTP/1.1",
            "[::%0D%0AX:%20y]",
        );
    }
}
