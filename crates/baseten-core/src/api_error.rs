//! The body of an error answer, whatever shape it has.
//!
//! One endpoint can give any of them: the platform's, the model server's, an engine's, a proxy's
//! HTML. Reading one never fails: what has no known shape is its own message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::chain_error::{self, StackFrame};
use crate::redact::Secret;

/// What an error body says, with everything it held.
///
/// Known shapes: `{"error": "text"}` with optional `error_code` and `detail` (Baseten),
/// `{"error": {…}}` as OpenAI, Anthropic or a chain write it, the flat `{"message", "type", "code"}`
/// of vLLM, FastAPI's `{"detail": …}`, and plain text or HTML.
///
/// ```
/// let error = baseten_core::ApiError::parse(br#"{"error": {"message": "too long", "code": 400}}"#);
/// assert_eq!((error.message(), error.code()), ("too long", Some("400")));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiError {
    message: Box<str>,
    code: Option<Box<str>>,
    kind: Option<Box<str>>,
    param: Option<Box<str>>,
    raw: Option<Value>,
}

/// What servers say of an input that is too long for the model, each as it was seen.
#[rustfmt::skip]
const CONTEXT: [&str; 12] = [
    "maximum context length",                 // OpenAI, vLLM
    "context size",                           // llama.cpp
    "context window",                         // LiteLLM
    "tokens) is too large to process",        // llama.cpp, for embeddings
    "longer than the maximum model length",   // vLLM since V1
    "longer than the model's context length", // SGLang
    "exceeds maximum input length",           // TensorRT-LLM
    "exceeds maximum sequence length",
    "should not exceed max_num_tokens",       // its engine on PyTorch
    "should not exceed max_seq_len",
    "prompt is too long",                     // Anthropic
    "`inputs` must have less than",           // text-embeddings-inference
];

/// Longer messages are cut: they are for people, the body itself is kept beside.
const MESSAGE_MAX: usize = 1000;

impl ApiError {
    /// Reads the body of an error answer.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_value(value),
            Err(_) => Self { message: shorten(&text_of(body)), ..Self::default() },
        }
    }

    /// Reads an error that is JSON already: the event of a stream, for one.
    #[must_use]
    pub fn from_value(value: Value) -> Self {
        let shape = Shape::deserialize(&value).unwrap_or_default();
        // The object that describes the error: inside `error`, or the whole.
        let inner = match shape.error {
            Some(Value::Object(_)) => {
                shape.error.as_ref().and_then(|error| Shape::deserialize(error).ok())
            }
            _ => None,
        };
        let (object, outer) = match &inner {
            Some(inner) => (inner, Some(&shape)),
            None => (&shape, None),
        };
        let message = chain_error::nested(&value)
            .map(chain_error::root)
            .or_else(|| object.message())
            .or_else(|| outer.and_then(Shape::message))
            .unwrap_or_else(|| if value.is_null() { String::new() } else { plain(&value) });
        let code = object.code().or_else(|| outer.and_then(Shape::code));
        let param = object.param.as_ref().filter(|param| !param.is_null()).map(plain);
        Self {
            message: shorten(&message),
            code: code.map(Into::into),
            kind: object.kind().map(Into::into),
            param: param.map(Into::into),
            raw: Some(value),
        }
    }

    /// The same, with the call's key taken out of every text.
    pub(crate) fn without(mut self, secret: &Secret) -> Self {
        let texts = [&mut self.code, &mut self.kind, &mut self.param].into_iter().flatten();
        for text in texts.chain([&mut self.message]) {
            if let Cow::Owned(clean) = secret.hide(text) {
                *text = clean.into();
            }
        }
        if let Some(raw) = &mut self.raw {
            secret.hide_in(raw);
        }
        self
    }

    /// What went wrong, in the server's words; at most 1000 bytes, empty if the body was. Of a chain
    /// whose inner chainlet failed, the exception that began it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `code` or `error_code`, a number written as text.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// `type`, or the class name of an exception in a chain.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The parameter at fault, where the server named one.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// Where the code of a chain raised an exception, outermost frame first; empty for any other
    /// error.
    #[must_use]
    pub fn stack(&self) -> Vec<StackFrame<'_>> {
        self.raw.as_ref().map(chain_error::stack).unwrap_or_default()
    }

    /// How a failure went through the chainlets of a chain, as truss_chains draws it: each with its
    /// stack, the one that began it at the bottom. `None` if no inner chainlet failed.
    #[must_use]
    pub fn nested(&self) -> Option<&str> {
        self.raw.as_ref().and_then(chain_error::nested)
    }

    /// Whether the input is too long for the model. Servers have no common word for it, so this reads
    /// the codes and the texts of OpenAI, vLLM, SGLang, TensorRT-LLM, llama.cpp, text-embeddings-inference,
    /// Anthropic and LiteLLM.
    #[must_use]
    pub fn is_context_length(&self) -> bool {
        self.is_named(&["context_length_exceeded", "exceed_context_size_error"])
            || self.says(&CONTEXT)
    }

    /// Whether a limit on requests or tokens was hit.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        self.is_named(&["429", "rate_limited", "rate_limit_exceeded", "throttling_error"])
            || self.is_named(&["rate_limit_error", "insufficient_quota"])
            || self.is_capacity_exceeded()
            || self.is_daily_limit()
    }

    /// Whether the platform has no room for another queued run now (`CAPACITY_EXCEEDED`, which an
    /// async request gets while its deployment scales up from zero).
    pub(crate) fn is_capacity_exceeded(&self) -> bool {
        self.is_named(&["CAPACITY_EXCEEDED"]) || self.says(&["CAPACITY_EXCEEDED"])
    }

    /// Whether nothing more will be served until somebody pays (OpenAI's `insufficient_quota`).
    pub(crate) fn is_quota_used_up(&self) -> bool {
        self.is_named(&["insufficient_quota"])
    }

    /// Whether a limit was hit that lifts with the day. No common code for it is known: this reads the
    /// texts.
    pub(crate) fn is_daily_limit(&self) -> bool {
        let texts = [Some(self.message()), self.code(), self.kind()];
        texts.into_iter().flatten().map(str::to_ascii_lowercase).any(|text| {
            text.contains("limit")
                && ["daily", "per day", "per-day"].iter().any(|day| text.contains(day))
        })
    }

    /// Whether a content filter refused the input or the answer.
    #[must_use]
    pub fn is_content_filter(&self) -> bool {
        self.is_named(&["content_filter", "content_policy_violation"])
    }

    /// Whether `code` or `type` is one of these.
    fn is_named(&self, names: &[&str]) -> bool {
        [self.code(), self.kind()].into_iter().flatten().any(|name| names.contains(&name))
    }

    fn says(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.message.contains(text))
    }

    /// The whole body, if it was JSON.
    #[must_use]
    pub fn raw(&self) -> Option<&Value> {
        self.raw.as_ref()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The members that known shapes have, each of any type.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shape {
    error: Option<Value>,
    message: Option<Value>,
    detail: Option<Value>,
    code: Option<Value>,
    error_code: Option<Value>,
    r#type: Option<Value>,
    param: Option<Value>,
    exception_message: Option<Value>,
    exception_cls_name: Option<Value>,
}

impl Shape {
    fn message(&self) -> Option<String> {
        let text = |value: &Option<Value>| value.as_ref()?.as_str().map(str::to_owned);
        let message = text(&self.message)
            .or_else(|| text(&self.exception_message))
            .or_else(|| text(&self.error));
        let detail = self.detail.as_ref().filter(|detail| !detail.is_null()).map(detail_text);
        match (message, detail) {
            (Some(message), Some(detail)) => Some(format!("{message}: {detail}")),
            (message, detail) => message.or(detail),
        }
    }

    fn code(&self) -> Option<String> {
        [&self.code, &self.error_code].into_iter().flatten().find(|c| !c.is_null()).map(plain)
    }

    fn kind(&self) -> Option<String> {
        [&self.r#type, &self.exception_cls_name].into_iter().flatten().next().map(plain)
    }
}

/// FastAPI's `detail`: a text, or a list of `{loc, msg}`.
fn detail_text(detail: &Value) -> String {
    let Value::Array(items) = detail else { return plain(detail) };
    let line = |item: &Value| match (item.get("loc"), item.get("msg")) {
        (Some(Value::Array(loc)), Some(msg)) => {
            let path: Vec<String> = loc.iter().map(plain).collect();
            format!("{}: {}", path.join("."), plain(msg))
        }
        _ => plain(item),
    };
    items.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The title of an HTML page, else the text as it is.
fn text_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower[start..].find('<')?;
        Some(text[start..end].trim().to_owned())
    });
    title.unwrap_or_else(|| text.trim().to_owned())
}

fn shorten(message: &str) -> Box<str> {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn every_shape_seen_in_the_wild() {
        //   body                                                message           code        type
        for (body, message, code, kind) in [
            (r#"{"error": "please check the api-key you provided"}"#, "please check the api-key you provided", None, None),
            (r#"{"error": "slow down", "error_code": "rate_limited", "detail": "120 a minute"}"#, "slow down: 120 a minute", Some("rate_limited"), None),
            (r#"{"error": {"message": "bad", "type": "invalid_request_error", "param": null, "code": null}}"#, "bad", None, Some("invalid_request_error")),
            (r#"{"error": {"message": "bad", "type": "x", "code": 400}}"#, "bad", Some("400"), Some("x")),
            (r#"{"object": "error", "message": "bad", "type": "BadRequestError", "param": null, "code": 400}"#, "bad", Some("400"), Some("BadRequestError")),
            (r#"{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}"#, "busy", None, Some("overloaded_error")),
            (r#"{"detail": "Not Found"}"#, "Not Found", None, None),
            (r#"{"detail": [{"loc": ["body", "input", 0], "msg": "field required", "type": "missing"}]}"#, "body.input.0: field required", None, None),
            (r#"{"error": {"exception_cls_name": "ValueError", "exception_message": "no", "user_stack_trace": []}}"#, "no", None, Some("ValueError")),
            (r#"{"error": "over the limit", "retry_after": 3}"#, "over the limit", None, None),
            (r#"{"why": "own shape"}"#, r#"{"why":"own shape"}"#, None, None),
            (r#""just text""#, "just text", None, None),
            (r#"[1, 2]"#, "[1,2]", None, None),
            (r#"{"error": 7}"#, r#"{"error":7}"#, None, None),
            ("null", "", None, None),
            ("", "", None, None),
            ("upstream down\n", "upstream down", None, None),
            ("<html><head><TITLE>502 Bad Gateway</TITLE></head><body>…", "502 Bad Gateway", None, None),
            (r#"{"error": "cut of"#, r#"{"error": "cut of"#, None, None),
        ] {
            let error = ApiError::parse(body.as_bytes());
            assert_eq!(
                (error.message(), error.code(), error.kind()),
                (message, code, kind),
                "{body}"
            );
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_an_error_is_about() {
        //   body                                                       context  rate   filter
        for (body, context, rate, filter) in [
            (r#"{"error":{"code":400,"message":"request (6042 tokens) exceeds the available context size (1024 tokens)","type":"exceed_context_size_error"}}"#, true, false, false),
            (r#"{"error":{"code":500,"message":"input (6002 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}"#, true, false, false),
            (r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#, true, false, false),
            (r#"{"object":"error","message":"This model's maximum context length is 8192 tokens.","type":"BadRequestError","code":400}"#, true, false, false),
            (r#"{"object":"error","message":"The decoder prompt (length 21535) is longer than the maximum model length of 16384. Make sure that `max_model_len` is no smaller than the number of text tokens.","type":"BadRequestError","code":400}"#, true, false, false),
            (r#"{"object":"error","message":"The input (61709 tokens) is longer than the model's context length (40960 tokens).","type":"BadRequestError","code":400}"#, true, false, false),
            (r#"{"error":"Prompt length (200) exceeds maximum input length (100)."}"#, true, false, false),
            (r#"{"error":"Cannot process new request: Prompt length (5056) exceeds maximum sequence length (2048)"}"#, true, false, false),
            (r#"{"object":"error","message":"The sum of prompt length (38049.0), query length (0) should not exceed max_num_tokens (32768)","type":"BadRequestError","code":400}"#, true, false, false),
            (r#"{"object":"error","message":"The sum of prompt length (4000) and query length (0) max_tokens (2048) should not exceed max_seq_len (4096)","code":400}"#, true, false, false),
            (r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 209353 tokens > 199999 maximum"}}"#, true, false, false),
            (r#"{"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 534","error_type":"Validation"}"#, true, false, false),
            (r#"{"error":{"message":"max_tokens: 10000 > 4096, which is the maximum allowed number of output tokens","type":"invalid_request_error"}}"#, false, false, false),
            (r#"{"error":{"message":"RateLimitError","type":"throttling_error","code":"429"}}"#, false, true, false),
            (r#"{"error":"too many","error_code":"rate_limited"}"#, false, true, false),
            (r#"{"error":"CAPACITY_EXCEEDED"}"#, false, true, false),
            (r#"{"error":"Daily token limit reached"}"#, false, true, false),
            (r#"{"error":{"message":"refused","code":"content_filter"}}"#, false, false, true),
            (r#"{"error":"no"}"#, false, false, false),
        ] {
            let error = ApiError::parse(body.as_bytes());
            assert_eq!((error.is_context_length(), error.is_rate_limit(), error.is_content_filter()), (context, rate, filter), "{body}");
        }
    }

    #[test]
    fn anything_is_read_and_long_text_is_cut_between_characters() {
        assert_eq!(ApiError::parse(b"\xff\xfe").message(), "\u{fffd}\u{fffd}");
        let long = "é".repeat(2000);
        assert_eq!(ApiError::parse(long.as_bytes()).message().len(), 1000);
        let error = ApiError::parse(br#"{"error": "x", "own": [1]}"#);
        assert_eq!(error.raw().unwrap()["own"][0], 1, "nothing is lost");
    }

    #[test]
    fn the_parameter_at_fault_is_named() {
        for (body, param) in [
            (r#"{"error": {"message": "bad", "param": "top_p"}}"#, Some("top_p")),
            (r#"{"object": "error", "message": "bad", "param": "top_p"}"#, Some("top_p")),
            (r#"{"error": {"message": "bad", "param": ["a", 0]}}"#, Some(r#"["a",0]"#)),
            (r#"{"error": {"message": "bad", "param": null}}"#, None),
            (r#"{"error": "bad"}"#, None),
        ] {
            assert_eq!(ApiError::parse(body.as_bytes()).param(), param, "{body}");
        }
    }
}
