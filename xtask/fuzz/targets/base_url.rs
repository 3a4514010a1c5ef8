//! Base URLs, roots, ids and routes, one a line: what is accepted makes a URL that says where it goes,
//! and stays there.

#![no_main]

use baseten_core::{
    ChainId, DeploymentId, Endpoint, EnvironmentName, Hosts, ModelId, Operation, Route, Target,
};
use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (base, root, header, id, name) = (line(), line(), line(), line(), line());
    let route = line();

    let mut hosts = vec![Hosts::baseten()];
    hosts.extend(Hosts::base_url(base));
    hosts.extend(Hosts::root(root));
    hosts.extend(Hosts::baseten().with_host_header(header));
    let route = Route::new(route);
    for hosts in &hosts {
        for target in targets(id, name) {
            for operation in [Operation::Predict, Operation::RunRemote, Operation::Wake] {
                let _ = Endpoint::new(hosts, &target, &operation).map(|found| check(&found));
            }
            if let Ok(route) = &route {
                let sync = Operation::Sync(Method::POST, route.clone());
                let _ = Endpoint::new(hosts, &target, &sync).map(|endpoint| {
                    check(&endpoint);
                    let path = endpoint.path();
                    let (_, below) = path.split_once("/sync/").expect("a route is below /sync/");
                    stays(below);
                });
            }
        }
        if let Ok(route) = &route {
            check(&Endpoint::model_apis(hosts, Method::GET, route));
        }
    }
});

fn targets(id: &str, name: &str) -> Vec<Target> {
    let mut targets = Vec::new();
    targets.extend(ChainId::new(id).map(Target::chain));
    if let Ok(id) = ModelId::new(id) {
        let model = Target::model(id);
        targets.push(model.clone().development());
        targets.extend(DeploymentId::new(name).map(|id| model.clone().deployment(id)));
        if let Ok(name) = EnvironmentName::new(name) {
            targets.extend(model.clone().regional(name.clone()));
            targets.push(model.environment(name));
        }
    }
    targets
}

/// What the URL says to another reader is what the endpoint says.
fn check(endpoint: &Endpoint) {
    let url = endpoint.url();
    let read: Uri = url.parse().unwrap_or_else(|error| panic!("{error}: {url}"));
    let origin = endpoint.origin();
    // In a URL an IPv6 address has brackets.
    let host = read.host().map(|host| host.trim_matches(['[', ']']));
    assert_eq!(host, Some(origin.host()), "{url}");
    let port = if origin.is_https() { 443 } else { 80 };
    assert_eq!(read.port_u16().unwrap_or(port), origin.port(), "{url}");
    assert_eq!(read.path_and_query(), endpoint.uri().path_and_query(), "{url}");
    let authority = read.authority().map(|authority| authority.as_str()).unwrap_or_default();
    assert!(!authority.contains('@') && !url.contains('#'), "{url}");
    assert!(!url.contains(|letter: char| letter.is_control() || letter == ' '), "{url}");
}

/// No segment climbs, not even when its escapes are read.
fn stays(path: &str) {
    for segment in path.split('/') {
        let read = percent_decode_str(segment).decode_utf8_lossy();
        assert!(read != "." && read != "..", "{path}");
    }
}
