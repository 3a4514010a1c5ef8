//! One request for each operation, by core's table of paths, and what an emulator makes of it by its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baseten_core::{AsyncRequestId, ChainId, Endpoint, Hosts, ModelId, Operation, Route, Target};
use baseten_emulator::{DUMMY_KEY, Emulator, Operation as Served};
use http::Method;

/// A request for what a row is about, as bytes, and what the emulator should take it for.
pub(crate) fn request(emulator: &Emulator, row: &str) -> (String, Served) {
    let model = Target::model(ModelId::new("abc").unwrap());
    let chain = Target::chain(ChainId::new("c1").unwrap());
    let run = |operation| bytes(emulator, &chain, &operation);
    let ask = |operation| bytes(emulator, &model, &operation);
    match row {
        "Predict" => (ask(Operation::Predict), Served::Predict),
        "RunRemote" => (run(Operation::RunRemote), Served::RunRemote),
        "AsyncPredict" => (ask(Operation::AsyncPredict), Served::AsyncPredict),
        "AsyncRunRemote" => (run(Operation::AsyncRunRemote), Served::AsyncRunRemote),
        "Wake" => (ask(Operation::Wake), Served::Wake),
        "QueueStatus" => (ask(Operation::QueueStatus), Served::AsyncQueueStatus),
        "WebSocket" => (ask(Operation::WebSocket), Served::WebSocket),
        "Sync" => {
            let route = Route::new("items/1").unwrap();
            (ask(Operation::Sync(Method::PATCH, route)), Served::Sync("items/1".into()))
        }
        "AsyncStatus" | "AsyncCancel" => {
            let submitted = exchange(emulator, &ask(Operation::AsyncPredict));
            let job = emulator.jobs().all().pop().unwrap_or_else(|| panic!("{submitted}"));
            let id = AsyncRequestId::new(&job.request_id).unwrap();
            let operation = match row {
                "AsyncStatus" => Operation::AsyncStatus(id),
                _ => Operation::AsyncCancel(id),
            };
            (ask(operation), Served::AsyncRequest(job.request_id))
        }
        "Model APIs" => {
            let route = Route::new("models").unwrap();
            let endpoint = Endpoint::model_apis(&hosts(emulator), Method::GET, &route);
            (head(&endpoint, ""), Served::ModelApis("v1/models".into()))
        }
        _ => panic!("{row}: this test does not know how it is asked for"),
    }
}

/// Whether a request is what the emulator takes it for and what the table says: `said` is the cells of route
/// and answer.
pub(crate) fn arrives(
    emulator: &Emulator,
    request: &str,
    served: &Served,
    said: (&str, &str),
) -> Result<(), String> {
    let answer = exchange(emulator, request);
    let seen = emulator.seen();
    let arrival = seen.last().ok_or_else(|| format!("nothing arrived: {answer}"))?;
    let status = arrival.status.unwrap_or_default();
    let (method, path) = (&*arrival.method, &*arrival.path);
    if arrival.operation.as_ref() != Some(served) || status >= 400 {
        return Err(format!("arrived as {:?}, answered with {status}", arrival.operation));
    }
    let route = crate::quoted(said.0).next().unwrap_or_default();
    if !is_route(route, said.0.starts_with("any method"), method, path) {
        return Err(format!("{method} {path}, and the table says {route}"));
    }
    match crate::quoted(said.1).next().map(str::parse::<u16>) {
        Some(Ok(named)) if named == status => Ok(()),
        Some(Ok(_)) => Err(format!("answered with {status}, and the table says {}", said.1)),
        _ => Err(format!("the table names no status: {}", said.1)),
    }
}

/// Whether method and path are those of a route as the table writes it: `…` is the deployment, and braces
/// stand for anything.
fn is_route(route: &str, any_method: bool, method: &str, path: &str) -> bool {
    let (verb, place) =
        if any_method { (method, route) } else { route.split_once(' ').unwrap_or_default() };
    let rest = match place.strip_prefix('…') {
        Some(place) => path.strip_prefix("/environments/production").map(|path| (place, path)),
        None => Some((place, path)),
    };
    let fits = |(place, path): (&str, &str)| match place.split_once('{') {
        Some((begin, _)) => path.strip_prefix(begin).is_some_and(|rest| !rest.is_empty()),
        None => path == place,
    };
    verb == method && rest.is_some_and(fits)
}

fn hosts(emulator: &Emulator) -> Hosts {
    Hosts::root(&format!("http://{}", emulator.root())).unwrap()
}

fn bytes(emulator: &Emulator, target: &Target, operation: &Operation) -> String {
    let endpoint = Endpoint::new(&hosts(emulator), target, operation).unwrap();
    let more = match operation {
        Operation::WebSocket => {
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        }
        _ => "",
    };
    head(&endpoint, more)
}

/// A request with a body that any operation can do with.
fn head(endpoint: &Endpoint, more: &str) -> String {
    let (method, uri, host) = (endpoint.method(), endpoint.uri(), endpoint.host());
    let body = if method == Method::POST { r#"{"model_input":1}"# } else { "" };
    let connection = if more.is_empty() { "close" } else { "Upgrade" };
    format!(
        "{method} {uri} HTTP/1.1\r\nHost: {}\r\nAuthorization: Api-Key {DUMMY_KEY}\r\n{more}\
         Connection: {connection}\r\nContent-Length: {}\r\n\r\n{body}",
        host.to_str().unwrap(),
        body.len(),
    )
}

/// The head of the answer.
fn exchange(emulator: &Emulator, request: &str) -> String {
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
