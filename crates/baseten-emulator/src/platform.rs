//! The texts of Baseten's edge and of the servers inside its containers, as literals.

use bytes::Bytes;

use crate::answer::{Answer, Body};

/// The platform's answer to a missing or wrong key. From Baseten's troubleshooting page.
const BAD_KEY: &str = r#"{"error":"please check the api-key you provided"}"#;

impl Answer {
    /// An error of the platform itself: JSON with one `error` text, no `x-baseten-error-source`.
    ///
    /// The texts of 401, 403 (`please check the api-key you provided`), 502 (`Error making
    /// prediction`) and 413 are Baseten's; the others are worded here after its description of
    /// the status, so nothing may depend on them. Any status is taken.
    pub fn platform_error(status: u16) -> Self {
        let body = match status {
            400 => r#"{"error":"The request is malformed"}"#,
            401 | 403 => BAD_KEY,
            402 => r#"{"error":"Payment required: your workspace is out of credits"}"#,
            404 => r#"{"error":"The model or deployment does not exist"}"#,
            405 => r#"{"error":"Method not allowed"}"#,
            408 => r#"{"error":"Timed out waiting for a replica"}"#,
            426 => r#"{"error":"This route is a WebSocket"}"#,
            413 => r#"{"error":"Request Entity Too Large"}"#,
            429 => r#"{"error":"CAPACITY_EXCEEDED"}"#,
            500 => r#"{"error":"Timed out waiting for the model to become ready"}"#,
            502 => r#"{"error":"Error making prediction"}"#,
            503 => r#"{"error":"The instance is draining, go to another instance"}"#,
            504 => r#"{"error":"The prediction timed out"}"#,
            529 => r#"{"error":"No serving capacity is available"}"#,
            _ => r#"{"error":"Something went wrong"}"#,
        };
        Self::new(status, Body::Whole(Bytes::from_static(body.as_bytes())))
            .header("content-type", "application/json")
    }

    /// An error in the model's container, as Truss server 0.18 reports it:
    /// `x-baseten-error-source: 04`, the three digits of `x-baseten-error-code` and one `error` text.
    ///
    /// Codes: 500 unhandled, 600 raised by the model (or not ready), 700 bad input, or the
    /// model's own response.
    pub fn model_error(status: u16, code: u16, text: &str) -> Self {
        let body = serde_json::json!({ "error": text }).to_string();
        Self::new(status, Body::Whole(body.into()))
            .header("x-baseten-error-source", "04")
            .header("x-baseten-error-code", &code.to_string())
            .header("content-type", "application/json")
    }

    /// 503 of a Truss server that is still loading its model: the model has not run.
    pub fn not_ready() -> Self {
        Self::model_error(503, 600, "Model with name model is not ready.")
    }

    /// An exception in the model's code: the text is fixed, details are only in the logs.
    pub fn model_raised() -> Self {
        Self::model_error(500, 600, "Internal Server Error (in model/chainlet).")
    }

    /// An exception in a chainlet: `error` is an object that holds the exception and where it was
    /// raised (truss_chains 0.18).
    pub fn chainlet_raised(class: &str, message: &str) -> Self {
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let line = format!("raise {class}({})", text(message));
        let body = format!(
            r#"{{"error":{{"exception_cls_name":{},"exception_module_name":null,"exception_message":{},"user_stack_trace":[{{"filename":"/packages/chain.py","lineno":17,"name":"run_remote","line":{}}}]}}}}"#,
            text(class),
            text(message),
            text(&line),
        );
        Self { body: Body::Whole(body.into()), ..Self::model_error(500, 600, "") }
    }

    /// A page of the nginx inside a custom server's container (1.22.1), for 413, 502 and 504: HTML
    /// where JSON is expected. Other statuses get the same page with their number.
    pub fn nginx_error(status: u16) -> Self {
        let reason = match status {
            413 => "Request Entity Too Large",
            502 => "Bad Gateway",
            504 => "Gateway Time-out",
            _ => "Error",
        };
        let body = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::bytes("text/html", body).with_status(status)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Body};

    #[test]
    fn nginx_pages_have_the_recorded_length() {
        for (status, length) in [(413, 183), (502, 157)] {
            let Body::Whole(page) = Answer::nginx_error(status).body else { panic!("whole") };
            assert_eq!(page.len(), length, "{status}");
        }
    }
}
