//! What an answer must say before the connection counts as a WebSocket (RFC 6455, section 4.1).

use baseten_core::{Error, ErrorKind, Request};
use baseten_transport::nonblocking::{Upgrade, Upgraded};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Sends the upgrade, as the call's policy has it, and checks the answer that accepted it.
pub(crate) async fn shake(upgrade: &Upgrade) -> Result<Upgraded, Error> {
    let key = generate_key();
    let request = upgrade.template.websocket(&key)?;
    let upgraded = upgrade.transport.upgrade(&request, &upgrade.options).await?;
    match check(&request, &key, upgraded.meta().headers()) {
        Ok(()) => Ok(upgraded),
        Err(why) => Err(upgraded.meta().error(ErrorKind::Decode, why, Bytes::new())),
    }
}

fn check(request: &Request, key: &str, answer: &HeaderMap) -> Result<(), &'static str> {
    let answered = |name, token| says(answer.get_all(name), token);
    if !answered(header::UPGRADE, "websocket") || !answered(header::CONNECTION, "upgrade") {
        return Err("the server switched to something that is no WebSocket");
    }
    let accept = answer.get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Err("the server did not read the key of the handshake (sec-websocket-accept): \
                    something between here and there answers for it");
    }
    if answer.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("the server switched on an extension that was not offered");
    }
    let chosen = answer.get(header::SEC_WEBSOCKET_PROTOCOL).map(|chosen| chosen.to_str());
    match chosen {
        None => Ok(()),
        Some(Ok(chosen)) if says(request.header(&header::SEC_WEBSOCKET_PROTOCOL), chosen) => Ok(()),
        Some(_) => Err("the server chose a subprotocol that was not offered"),
    }
}

/// Whether the list in a header's values holds a token.
fn says<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, token: &str) -> bool {
    let lists = values.into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use baseten_core::{Answer, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template};
    use http::HeaderName;

    use super::*;

    /// Key and answer are from a recording of Truss server 0.18.
    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";
    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "BACScCJPNqyz+UBoqMH89VmURoA=");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("connection", "Upgrade");

    #[test]
    fn an_answer_is_checked_line_by_line() {
        let target = Target::model(ModelId::new("abc").unwrap());
        let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::WebSocket).unwrap();
        let template = Template::new(endpoint, &Credential::none(), Answer::Stream).unwrap();
        let template = template.header("sec-websocket-protocol", "a, b").unwrap();
        let request = template.websocket(KEY).unwrap();
        //   headers of the answer                                             what is wrong
        for (headers, expect) in [
            (&[UPGRADE, CONNECTION, ACCEPT][..], None),
            (&[("upgrade", "WebSocket"), ("connection", "keep-alive, upgrade"), ACCEPT], None),
            (&[UPGRADE, CONNECTION, ACCEPT, ("sec-websocket-protocol", "b")], None),
            (&[UPGRADE, CONNECTION, ACCEPT, ("sec-websocket-protocol", "c")], Some("subprotocol")),
            (
                &[UPGRADE, CONNECTION, ACCEPT, ("sec-websocket-extensions", "permessage-deflate")],
                Some("extension"),
            ),
            (&[UPGRADE, CONNECTION], Some("sec-websocket-accept")),
            (&[UPGRADE, CONNECTION, ("sec-websocket-accept", KEY)], Some("sec-websocket-accept")),
            (&[("upgrade", "h2c"), CONNECTION, ACCEPT], Some("no WebSocket")),
            (&[UPGRADE, ACCEPT], Some("no WebSocket")),
        ] {
            let lines = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            match (check(&request, KEY, &lines.collect()), expect) {
                (Ok(()), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{headers:?}: {why}"),
                (found, _) => panic!("{headers:?}: {found:?}"),
            }
        }
    }
}
