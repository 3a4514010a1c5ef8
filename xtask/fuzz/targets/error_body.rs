//! Bodies of errors: read without a panic, the same from bytes and from JSON that is read already.

#![no_main]

use baseten_core::ApiError;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let error = ApiError::parse(body);
    let told = tell(&error);
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && error.raw().is_some()
    {
        assert_eq!(error.raw(), Some(&value));
        assert_eq!(tell(&ApiError::from_value(value)), told);
    }
});

/// All that can be asked.
fn tell(error: &ApiError) -> String {
    let names = (error.message(), error.code(), error.kind(), error.param(), error.nested());
    let kinds = (error.is_context_length(), error.is_rate_limit(), error.is_content_filter());
    format!("{error} {error:?} {names:?} {kinds:?} {:?}", error.stack())
}
