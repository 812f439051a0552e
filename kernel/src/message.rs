//! Messages as this kernel reads and writes them: the protocol's envelope, with contents as plain JSON.
//!
//! Clients leave out what they do not need, so contents are not read into types that would refuse that.

use jupyter_protocol::messaging::{Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage};
use serde_json::Value;
use zeromq::ZmqMessage;

pub type Message = JupyterMessage;

/// The message in these frames, if it is signed as it should be.
pub fn read<S>(frames: ZmqMessage, connection: &Connection<S>) -> Result<Message, String> {
    let raw = RawMessage::from_multipart(frames, &connection.mac)
        .map_err(|error| format!("a message was ignored, because its signature or form is wrong: {error}"))?;
    let part = |number: usize| {
        raw.jparts
            .get(number)
            .ok_or_else(|| format!("a message was ignored: expected four parts, got {}", raw.jparts.len()))
    };
    let unreadable = |error| format!("a message was ignored, because it is not JSON: {error}");
    let header: Header = serde_json::from_slice(part(0)?).map_err(unreadable)?;
    let content: Value = serde_json::from_slice(part(3)?).map_err(unreadable)?;
    Ok(Message {
        content: JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: header.msg_type.clone(), content }),
        parent_header: serde_json::from_slice(part(1)?).ok(),
        metadata: serde_json::from_slice(part(2)?).map_err(unreadable)?,
        zmq_identities: raw.zmq_identities,
        header,
        buffers: Vec::new(),
        channel: None,
    })
}

/// A message to whoever sent `request`.
pub fn to(request: &Message, kind: &str, content: Value) -> Message {
    Message::new(UnknownMessage { msg_type: kind.to_owned(), content }, Some(request))
}

pub fn reply(request: &Message, content: Value) -> Message {
    to(request, &kind(request).replace("_request", "_reply"), content)
}

pub fn kind(message: &Message) -> &str {
    &message.header.msg_type
}

pub fn field<'a>(message: &'a Message, name: &str) -> &'a Value {
    match &message.content {
        JupyterMessageContent::UnknownMessage(unknown) => &unknown.content[name],
        _ => &Value::Null,
    }
}

pub fn text<'a>(message: &'a Message, name: &str) -> &'a str {
    field(message, name).as_str().unwrap_or_default()
}

pub fn flag(message: &Message, name: &str, otherwise: bool) -> bool {
    field(message, name).as_bool().unwrap_or(otherwise)
}

pub fn number(message: &Message, name: &str) -> Option<usize> {
    field(message, name).as_u64().and_then(|number| usize::try_from(number).ok())
}

#[cfg(test)]
pub fn request(kind: &str, content: Value) -> Message {
    Message::new(UnknownMessage { msg_type: kind.to_owned(), content }, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_is_named_after_its_request() {
        let asked = request("history_request", json!({"n": 3}));
        let reply = reply(&asked, json!({"status": "ok"}));
        assert_eq!(kind(&reply), "history_reply");
        assert_eq!(reply.parent_header.as_ref().unwrap().msg_id, asked.header.msg_id);
        assert_eq!(text(&reply, "status"), "ok");
    }

    #[test]
    fn what_a_client_left_out_has_a_default() {
        let asked = request("execute_request", json!({"code": "1"}));
        assert!(flag(&asked, "store_history", true));
        assert_eq!(text(&asked, "other"), "");
        assert_eq!(number(&asked, "cursor_pos"), None);
    }
}
