//! Tests of whole calls over nets of their own: one that fails where it is told, and one in memory.

mod chunks;
#[cfg(all(feature = "proxy", feature = "tls", feature = "tokio"))]
mod faulty;
mod memory;
#[cfg(all(feature = "proxy", feature = "tls", feature = "tokio"))]
mod torture;

use baseten_core::{
    Answer, Credential, Endpoint, Hosts, ModelId, Operation, Route, Target, Template,
};

/// What is sent to a route of model `abc` at this URL.
fn template(url: &str, route: &str, answer: Answer) -> Template {
    let hosts = Hosts::base_url(url).unwrap().allow_plain_http();
    let target = Target::model(ModelId::new("abc").unwrap());
    let operation = Operation::Sync(http::Method::POST, Route::new(route).unwrap());
    let endpoint = Endpoint::new(&hosts, &target, &operation).unwrap();
    Template::new(endpoint, &Credential::api_key("dummy-key-0000").unwrap(), answer).unwrap()
}
