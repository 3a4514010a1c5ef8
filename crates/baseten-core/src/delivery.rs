//! What the server may have done with a request: the question every retry hangs on.
//!
//! Two pure functions and no policy: [`of_failure`] for attempts without an answer, [`of_answer`]
//! for error statuses. Whether to try again is decided in [`crate::Call`].

use http::{HeaderMap, StatusCode};

use crate::api_error::ApiError;
use crate::endpoint::Endpoint;
use crate::failure::Failure;

/// What the server may have done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Nothing: no byte of the request left this machine.
    NotSent,
    /// Nothing: it turned the request away before running it.
    Refused,
    /// It gave its answer. Asking again would give another answer, or the same.
    Answered,
    /// It may have run the request, wholly or in part.
    MaybeRan,
}

/// The service id with which a Truss server marks what its model's container said
/// (`x-baseten-error-source`, truss 0.18).
const MODEL: &[u8] = b"04";
/// The code of a response that the model's own code made (`x-baseten-error-code`, truss 0.18).
const OWN_RESPONSE: &[u8] = b"700";

/// Judges an attempt that brought no answer, by the bytes that left.
pub(crate) fn of_failure(failure: &Failure) -> Delivery {
    if failure.sent == 0 { Delivery::NotSent } else { Delivery::MaybeRan }
}

/// Judges an error status.
pub(crate) fn of_answer(
    endpoint: &Endpoint,
    trust_refusals: bool,
    status: StatusCode,
    headers: &HeaderMap,
    api: &ApiError,
) -> Delivery {
    use Delivery::{Answered, MaybeRan, Refused};
    let marked = |name, value| headers.get(name).is_some_and(|found| found.as_bytes() == value);
    let from_model = marked("x-baseten-error-source", MODEL);
    let own = marked("x-baseten-error-code", OWN_RESPONSE);
    match status.as_u16() {
        // A Truss server that still loads its model says so with the model's own error source.
        503 if from_model && !own && is_loading(api.message()) => Refused,
        // The model's code ran and chose this status.
        _ if from_model => Answered,
        // The platform's own word, whatever host it comes through.
        429 if api.is_capacity_exceeded() => Refused,
        // The account is empty, as with 402: the same again.
        429 if api.is_quota_used_up() => Answered,
        // No capacity, over a limit, draining: said before any model saw the request …
        429 | 503 | 529 if endpoint.refusals_are_the_platforms() => Refused,
        // … which a container or a gateway may mean by it, too.
        429 | 503 | 529 => {
            if trust_refusals {
                Refused
            } else {
                Answered
            }
        }
        // Gave up waiting, crashed midway, lost its replica, ran out of time.
        408 | 425 | 500 | 502 | 504 => MaybeRan,
        // The request itself is at fault, or the account, or the address: the same again.
        _ => Answered,
    }
}

/// Whether a Truss server (0.18) says by this that its model is not loaded. A model may raise a 503 of
/// its own, after some work, that something else is not ready: only the server's exact words count.
fn is_loading(text: &str) -> bool {
    text.starts_with("Model with name ") && text.ends_with(" is not ready.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Hosts, ModelId, Operation, Route, Target};

    fn endpoint(operation: &Operation) -> Endpoint {
        let target = Target::model(ModelId::new("abc").unwrap());
        Endpoint::new(&Hosts::baseten(), &target, operation).unwrap()
    }

    #[test]
    #[rustfmt::skip]
    fn a_failure_is_judged_by_what_left() {
        use Delivery::{MaybeRan, NotSent};
        //   cause                sent      delivery  reason
        for (cause,               sent,     delivery, reason) in [
            (Cause::Connect,      0,        NotSent,  "there was no connection"),
            (Cause::Tls,          0,        NotSent,  "a handshake is no byte of the request"),
            (Cause::Disconnected, 0,        NotSent,  "a pooled connection that was dead"),
            (Cause::Canceled,     0,        NotSent,  "given up in time"),
            (Cause::Disconnected, 1,        MaybeRan, "what left may have been the whole that mattered"),
            (Cause::Malformed,    300,      MaybeRan, "something answered, and it is not known what"),
            (Cause::Canceled,     u64::MAX, MaybeRan, "a driver that cannot count says all"),
        ] {
            let failure = Failure { sent, ..Failure::before_sending(cause, None) };
            assert_eq!(of_failure(&failure), delivery, "{reason}");
        }
    }

    const LOADING: &str = r#"{"error": "Model with name m is not ready."}"#;
    const INDEX: &str = r#"{"error": "vector index is not ready"}"#;
    const DAILY: &str = r#"{"error": "daily limit of 100 requests reached"}"#;
    const CAPACITY: &str = r#"{"error": "CAPACITY_EXCEEDED"}"#;
    const QUOTA: &str = r#"{"error": {"message": "pay", "code": "insufficient_quota"}}"#;

    /// Statuses of real servers are in `tests/delivery.rs`; what no recording has is here.
    #[test]
    #[rustfmt::skip]
    fn an_answer_is_judged_by_status_source_code_text_and_route() {
        use Delivery::{Answered, MaybeRan, Refused};
        let predict = endpoint(&Operation::Predict);
        let route = Route::new("v1/x").unwrap();
        let sync = endpoint(&Operation::Sync(http::Method::POST, route));
        //   endpoint  trust  status marks  text        delivery  reason
        for (endpoint, trust, status, marks, text, delivery, reason) in [
            (&predict, true,  429, "",    "",         Refused,  "no capacity, or over a limit: said by the platform"),
            (&predict, false, 429, "",    "",         Refused,  "the platform's own word is no assumption"),
            (&predict, true,  503, "",    "draining", Refused,  "draining, or no route: said by the platform"),
            (&predict, true,  529, "",    "",         Refused,  "no capacity"),
            (&predict, true,  429, "07",  "",         Refused,  "another service of the platform"),
            (&predict, true,  429, "",    DAILY,      Refused,  "it ran as little as with any other limit"),
            (&predict, true,  429, "",    CAPACITY,   Refused,  "no room for a queued run yet"),
            (&sync,    false, 429, "",    CAPACITY,   Refused,  "no model server says this"),
            (&sync,    true,  429, "04",  CAPACITY,   Answered, "unless it is said that one did"),
            (&predict, true,  429, "",    QUOTA,      Answered, "nothing before somebody pays"),
            (&predict, true,  429, "04",  "",         Answered, "the model's own 429"),
            (&predict, true,  503, "04",  "",         Answered, "the model's own 503"),
            (&predict, true,  503, "04 600", LOADING, Refused,  "the server that still loads the model"),
            (&sync,    false, 503, "04 600", LOADING, Refused,  "it says so of itself: no assumption"),
            (&predict, true,  503, "04",     LOADING, Refused,  "a version without codes"),
            (&predict, true,  503, "04 700", LOADING, Answered, "a response that the model made, after some work"),
            (&predict, true,  503, "04 600", INDEX,   Answered, "the model raised it, after some work"),
            (&predict, true,  503, "04 600", r#"{"error": "Model with name m is not ready. Or is it?"}"#, Answered, "not the server's words"),
            (&predict, true,  503, "04 600", r#"{"error": "Sorry: Model with name m is not ready."}"#, Answered, "not the server's words"),
            (&predict, true,  500, "04 600", LOADING, Answered, "only a 503 means it"),
            (&sync,    true,  429, "",    "",         Refused,  "usually a limit before the model's server"),
            (&sync,    false, 429, "",    "",         Answered, "the caller knows its server"),
            (&sync,    false, 503, "",    "",         Answered, "the caller knows its server"),
            (&sync,    false, 529, "",    "",         Answered, "the caller knows its server"),
            (&predict, true,  408, "",    "",         MaybeRan, "gave up waiting"),
            (&predict, true,  425, "",    "",         MaybeRan, "whoever says so may have passed it on"),
            (&predict, true,  500, "",    "",         MaybeRan, "parking timed out, or it crashed"),
            (&predict, true,  502, "",    "",         MaybeRan, "its replica crashed midway"),
            (&predict, true,  504, "",    "",         MaybeRan, "ran for 20 minutes"),
            (&predict, true,  400, "",    "",         Answered, "the request is at fault"),
            (&predict, true,  401, "",    "",         Answered, "the key is missing"),
            (&predict, true,  402, "",    "",         Answered, "the account is empty"),
            (&predict, true,  403, "",    "",         Answered, "the key is wrong"),
            (&predict, true,  404, "",    "",         Answered, "there is no such deployment"),
            (&predict, true,  409, "",    "",         Answered, "a word of the container's"),
            (&predict, true,  413, "",    "",         Answered, "the body is too large"),
            (&predict, true,  422, "",    "",         Answered, "the input is at fault"),
            (&predict, true,  307, "",    "",         Answered, "never followed"),
            (&predict, true,  501, "",    "",         Answered, "the server cannot do it at all"),
        ] {
            let mut headers = HeaderMap::new();
            let names = ["x-baseten-error-source", "x-baseten-error-code"];
            for (name, value) in names.into_iter().zip(marks.split_whitespace()) {
                headers.insert(name, value.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let api = ApiError::parse(text.as_bytes());
            let found = of_answer(endpoint, trust, status, &headers, &api);
            assert_eq!(found, delivery, "{status} {marks:?} {text:?}: {reason}");
        }
    }
}
