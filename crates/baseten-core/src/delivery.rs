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

/// The service id with which a Truss server marks what the model's own code said
/// (`x-baseten-error-source`, truss 0.18).
const MODEL: &[u8] = b"04";

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
    let from_model =
        headers.get("x-baseten-error-source").is_some_and(|source| source.as_bytes() == MODEL);
    match status.as_u16() {
        // A Truss server that still loads its model says so with the model's own error source.
        503 if from_model && api.message().contains("is not ready") => Refused,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Hosts, ModelId, Operation, Route, Target};

    fn endpoint(operation: &Operation) -> Endpoint {
        let target = Target::model(ModelId::new("abc").unwrap());
        Endpoint::new(&Hosts::baseten(), &target, operation).unwrap()
    }

    #[test]
    fn a_failure_is_judged_by_what_left() {
        for (sent, expect) in [(0, Delivery::NotSent), (1, Delivery::MaybeRan)] {
            let failure = Failure { sent, ..Failure::before_sending(Cause::Disconnected, None) };
            assert_eq!(of_failure(&failure), expect);
        }
    }

    const DAILY: &str = r#"{"error": "daily limit of 100 requests reached"}"#;
    const CAPACITY: &str = r#"{"error": "CAPACITY_EXCEEDED"}"#;
    const QUOTA: &str = r#"{"error": {"message": "pay", "code": "insufficient_quota"}}"#;

    #[test]
    fn an_answer_is_judged_by_status_source_text_and_route() {
        use Delivery::*;
        let predict = endpoint(&Operation::Predict);
        let route = Route::new("v1/x").unwrap();
        let sync = endpoint(&Operation::Sync(http::Method::POST, route));
        //   endpoint  trusted status source      text             delivery
        for (endpoint, trust, status, source, text, expect) in [
            (&predict, true, 429, None, "", Refused),
            (&predict, false, 429, None, "", Refused), // the platform's own word: no assumption
            (&predict, true, 503, None, "draining", Refused),
            (&predict, true, 529, None, "", Refused),
            (&predict, true, 429, Some("04"), "", Answered), // the model's own 429
            (&predict, true, 503, Some("04"), "", Answered),
            (&predict, true, 503, Some("04"), "Model with name m is not ready.", Refused),
            (&predict, true, 500, Some("04"), "is not ready", Answered), // only a 503 means it
            (&predict, true, 500, Some("04"), "", Answered),             // raised: it ran
            (&predict, true, 429, Some("07"), "", Refused), // another service of the platform
            (&predict, true, 429, None, DAILY, Refused), // it ran as little as with any other limit
            (&predict, true, 429, None, CAPACITY, Refused),
            (&sync, false, 429, None, CAPACITY, Refused), // no model server says this
            (&sync, true, 429, Some("04"), CAPACITY, Answered), // unless it is said that one did
            (&predict, true, 429, None, QUOTA, Answered), // nothing before somebody pays
            (&sync, true, 429, None, "", Refused),
            (&sync, false, 429, None, "", Answered), // the caller knows its server
            (&sync, false, 503, None, "", Answered),
            (&predict, true, 408, None, "", MaybeRan),
            (&predict, true, 425, None, "", MaybeRan),
            (&predict, true, 500, None, "", MaybeRan), // parking timed out, or it crashed
            (&predict, true, 502, None, "", MaybeRan),
            (&predict, true, 504, None, "", MaybeRan), // ran for 20 minutes
            (&predict, true, 400, None, "", Answered),
            (&predict, true, 401, None, "", Answered),
            (&predict, true, 402, None, "", Answered),
            (&predict, true, 403, None, "", Answered),
            (&predict, true, 404, None, "", Answered),
            (&predict, true, 409, None, "", Answered),
            (&predict, true, 413, None, "", Answered),
            (&predict, true, 422, None, "", Answered),
            (&predict, true, 307, None, "", Answered), // never followed
            (&predict, true, 501, None, "", Answered),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(source) = source {
                headers.insert("x-baseten-error-source", source.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let api = ApiError::parse(text.as_bytes());
            let found = of_answer(endpoint, trust, status, &headers, &api);
            assert_eq!(found, expect, "{status} {source:?} {text:?} {trust} {}", endpoint.path());
        }
    }
}
