//! What a chain says of an exception: where it was raised, and in which chainlet further in.
//!
//! The shape is that of truss_chains 0.18: `{"error": {"exception_cls_name", "exception_message",
//! "user_stack_trace": […]}}`. Failures of chainlets that were called in turn are one text in the
//! message, drawn as a tree; nothing here assumes more of it than its lines.

use serde_json::Value;

/// One frame of the stack that a chainlet reported, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame<'a> {
    /// The file, as the container names it.
    pub filename: &'a str,
    /// The line in it, from 1.
    pub line_number: u64,
    /// The function.
    pub name: &'a str,
    /// The source of the line, where the server had it.
    pub line: Option<&'a str>,
}

/// The frames in an error body; entries of any other shape are left out.
pub(crate) fn stack(body: &Value) -> Vec<StackFrame<'_>> {
    let entries = body.pointer("/error/user_stack_trace").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(frame_of).collect()
}

fn frame_of(entry: &Value) -> Option<StackFrame<'_>> {
    Some(StackFrame {
        filename: entry.get("filename")?.as_str()?,
        line_number: entry.get("lineno")?.as_u64()?,
        name: entry.get("name")?.as_str()?,
        line: entry.get("line").and_then(Value::as_str),
    })
}

/// The message, if it tells of a failure in a chainlet that this one called.
pub(crate) fn nested(body: &Value) -> Option<&str> {
    let message = body.pointer("/error/exception_message")?.as_str()?;
    message.lines().any(|line| line.starts_with("├─ ")).then_some(message)
}

/// The exception that began it all: what stands below the last frame of a nested failure.
pub(crate) fn root(nested: &str) -> String {
    let lines: Vec<&str> = nested.lines().map(undrawn).collect();
    let traced = |line: &&str| line.starts_with("  ") || line.starts_with("Chainlet-Traceback");
    let first = lines.iter().rposition(traced).map_or(0, |frame| frame + 1);
    lines[first..].join("\n")
}

/// A line without the branches of the tree.
fn undrawn(mut line: &str) -> &str {
    while let Some(rest) = line.strip_prefix("│   ").or_else(|| line.strip_prefix("╰   ")) {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiError;

    /// Recorded from truss_chains 0.18.35.
    const RECORDED: &str = r#"{"error":{"exception_cls_name":"ValueError","exception_module_name":null,"exception_message":"(showing chained remote errors, root error at the bottom)\n├─ Error calling dependency Chainlet `Doubler`, HTTP status=500, trace ID=``.\n│   Chainlet-Traceback (most recent call last):\n│     File \"/packages/chain.py\", line 17, in run_remote\n│       raise ValueError(\"n must not be negative\")\n╰   ValueError: n must not be negative","user_stack_trace":[{"filename":"/packages/chain.py","lineno":27,"name":"run_remote","line":"return Out(label=label, value=await self._doubler.run_remote(n))"}]}}"#;

    #[test]
    fn a_recorded_failure_names_place_and_root() {
        let error = ApiError::parse(RECORDED.as_bytes());
        let [frame] = error.stack()[..] else { panic!("one frame: {error:?}") };
        assert_eq!((frame.filename, frame.line_number), ("/packages/chain.py", 27));
        assert_eq!(frame.name, "run_remote");
        assert!(frame.line.unwrap().ends_with("self._doubler.run_remote(n))"));
        assert_eq!(error.kind(), Some("ValueError"));
        assert_eq!(error.message(), "ValueError: n must not be negative");
        assert!(error.nested().unwrap().contains("Chainlet `Doubler`, HTTP status=500"));
    }

    #[test]
    fn the_root_is_found_at_any_depth() {
        //   nested                                                         root           reason
        for (nested, expect, reason) in [
            (
                "top\n├─ Error in `A`:\n│   Chainlet-Traceback (most recent call last):\n│     File \"c.py\", line 1, in f\n│       g()\n│   E: top\n│   ├─ Error in `B`:\n│   │   Chainlet-Traceback (most recent call last):\n│   │     File \"c.py\", line 2, in g\n│   │       raise E(1)\n╰   ╰   E: 1",
                "E: 1",
                "two levels",
            ),
            (
                "top\n├─ Error in `A`:\n│   Chainlet-Traceback (most recent call last):\n│     File \"c.py\", line 1, in f\n│   E: first\n╰   second",
                "E: first\nsecond",
                "a message of two lines",
            ),
            (
                "top\n├─ Error in `A`:\n│   Chainlet-Traceback (most recent call last):\n╰   E: no frames",
                "E: no frames",
                "an empty stack",
            ),
            ("top\n├─ odd", "top\n├─ odd", "another drawing stays as it is"),
        ] {
            assert_eq!(root(nested), expect, "{reason}");
        }
    }

    #[test]
    fn what_is_no_chain_error_has_no_stack() {
        for (body, frames) in [
            (r#"{"error": "text"}"#, 0),
            (r#"{"error": {"user_stack_trace": null}}"#, 0),
            (
                r#"{"error": {"user_stack_trace": [1, {}, {"filename": "a", "lineno": "3", "name": "f"}]}}"#,
                0,
            ),
            (
                r#"{"error": {"user_stack_trace": [{"filename": "a", "lineno": 3, "name": "f", "line": null}]}}"#,
                1,
            ),
            ("<html>", 0),
        ] {
            let error = ApiError::parse(body.as_bytes());
            assert_eq!(error.stack().len(), frames, "{body}");
            assert_eq!(error.nested(), None, "{body}");
        }
    }
}
