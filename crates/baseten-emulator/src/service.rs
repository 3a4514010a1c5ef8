//! From a request to its answer: record, check the key, find the route, read the body, answer.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::{Request, Response, Version};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Body};
use crate::body::Outgoing;
use crate::desk::{Desk, Plan};
use crate::fault::{Action, At, Fault};
use crate::frame::Frame;
use crate::jobs::Jobs;
use crate::link::Link;
use crate::model_apis;
use crate::names::Names;
use crate::route::{self, NoRoute, Operation, Target};
use crate::script::Script;
use crate::seen::{Arrival, Log};
use crate::sleep::Sleepers;
use crate::truss;
use crate::valve::Kill;
use crate::websocket::{self, Talk};

/// What all connections of an emulator share.
pub(crate) struct Shared {
    pub(crate) log: Arc<Log>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) names: Names,
    pub(crate) sleepers: Sleepers,
    pub(crate) script: Script,
    pub(crate) jobs: Jobs,
    pub(crate) keys: Vec<String>,
    pub(crate) keep_body: usize,
    pub(crate) max_body: u64,
    pub(crate) acceptor: Option<TlsAcceptor>,
}

/// The service of one connection.
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Arc<Link>,
}

/// Answers are never errors: what cannot be sent becomes a 500.
type Answered = Result<Response<Outgoing>, std::convert::Infallible>;

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Outgoing>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    /// Records the request before anything waits: the peer may leave in the next moment.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (shared, link) = (Arc::clone(&self.shared), Arc::clone(&self.link));
        let (head, incoming) = request.into_parts();
        let mut arrival = arrival(&link, &head);
        let host = arrival.host.as_deref();
        let route = route::find(&shared.names, &arrival.method, host, &arrival.path);
        if let Ok((target, operation)) = &route {
            (arrival.target, arrival.operation) = (Some(target.clone()), Some(operation.clone()));
        }
        let refusal = check_key(&shared.keys, &arrival);
        let index = shared.log.arrive(arrival);
        link.begin(index);
        let faults = shared.script.for_request(index);
        let plan = plan(&shared, refusal, &route, &faults);
        let exchange = Exchange { shared, link, index, route, faults, plan };
        Box::pin(async move { Ok(exchange.answer(incoming).await) })
    }
}

/// A request that has arrived, and what the head decides about it.
struct Exchange {
    shared: Arc<Shared>,
    link: Arc<Link>,
    index: usize,
    route: Result<(Target, Operation), NoRoute>,
    faults: Vec<Fault>,
    plan: Option<Plan>,
}

impl Exchange {
    async fn answer(mut self, incoming: Incoming) -> Response<Outgoing> {
        let upload = self.receive(incoming).await;
        let log = &self.shared.log;
        let request_id = request_id(self.index);
        log.update(self.index, |arrival| arrival.request_id.clone_from(&request_id));
        let answer = match (upload, self.plan.take(), log.arrival(self.index)) {
            (Err(refusal), ..) => refusal,
            (Ok(_), Some(Plan::Value(answer)), Some(arrival)) => truss::gather(*answer, &arrival),
            (Ok(_), Some(Plan::Call(answering)), Some(arrival)) => {
                truss::gather(answering(&arrival), &arrival)
            }
            (Ok(body), None, Some(arrival)) => self.own_answer(&arrival, &body, &request_id),
            // Only finished requests are ever forgotten.
            (_, _, None) => Answer::platform_error(500),
        };
        let answer = self.switching(answer);
        let faults = [&*self.faults, &*answer.faults].concat();
        let response = self.render(answer, &faults, &request_id).unwrap_or_else(|why| {
            let text = format!("emulator: this answer can only be sent with Answer::raw: {why}");
            let answer = Answer::bytes("text/plain", text).with_status(500);
            self.render(answer, &[], &request_id).expect("a valid status and literal headers")
        });
        let status = response.status().as_u16();
        let is_raw = response.version() == Version::HTTP_10;
        log.update(self.index, |arrival| arrival.status = (!is_raw).then_some(status));
        response
    }

    /// Reads the body as far as the answer wants it, and lets things go wrong on the way.
    async fn receive(&self, mut incoming: Incoming) -> Result<Bytes, Answer> {
        let early = match &self.plan {
            Some(Plan::Value(answer)) => answer.early,
            _ => None,
        };
        let max = self.shared.max_body;
        if incoming.size_hint().exact().is_some_and(|length| length > max) {
            return Err(Answer::platform_error(413));
        }
        let mut ahead: Vec<_> =
            self.faults.iter().filter(|fault| matches!(fault.at, At::Upload(_))).collect();
        let mut body = BytesMut::new();
        loop {
            let length = body.len() as u64;
            let due = |fault: &mut &Fault| matches!(fault.at, At::Upload(n) if n <= length);
            for fault in ahead.extract_if(.., due) {
                fail(&self.link, fault).await;
            }
            if incoming.is_end_stream() {
                break;
            }
            if early.is_some_and(|early| early <= length) {
                return Ok(body.freeze());
            }
            if length > max {
                return Err(Answer::platform_error(413));
            }
            match std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                None => break,
                // Cut short, or framed wrongly.
                Some(Err(_)) => return Err(Answer::platform_error(400)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    body.extend_from_slice(&data);
                    self.uploaded(body.len());
                }
            }
        }
        self.link.upload_ended();
        let body = body.freeze();
        self.shared.log.update(self.index, |arrival| {
            arrival.body = body.slice(..body.len().min(self.shared.keep_body));
            arrival.body_complete = true;
        });
        Ok(body)
    }

    /// What a model does that nobody has taught anything else.
    fn own_answer(&self, arrival: &Arrival, body: &[u8], request_id: &str) -> Answer {
        let Ok((target, operation)) = &self.route else { return Answer::platform_error(404) };
        let jobs = &self.shared.jobs;
        match operation {
            Operation::Predict => truss::echo(arrival, body, &target.id),
            Operation::RunRemote => truss::echo_arguments(arrival, body, &target.id),
            Operation::Sync(route) => truss::passed_through(arrival, body, route, &target.id),
            Operation::Wake => {
                self.shared.sleepers.wake(target);
                Answer::status(202)
            }
            Operation::AsyncPredict | Operation::AsyncRunRemote => {
                jobs.submit(target, request_id, body)
            }
            Operation::AsyncQueueStatus => jobs.queue(target),
            Operation::WebSocket => Answer::websocket([]),
            Operation::ModelApis(route) => model_apis::answer(&arrival.method, route, body),
            Operation::AsyncRequest(id) if arrival.method == "DELETE" => jobs.cancel(target, id),
            Operation::AsyncRequest(id) => jobs.status(target, id),
        }
    }

    /// An answer that switches to a WebSocket gets the headers for it, unless it has its own.
    fn switching(&self, mut answer: Answer) -> Answer {
        if !matches!(answer.body, Body::WebSocket(_)) {
            return answer;
        }
        let arrival = self.shared.log.arrival(self.index);
        let Some(headers) = arrival.and_then(|arrival| websocket::handshake(&arrival)) else {
            return Answer::platform_error(426).header("upgrade", "websocket");
        };
        for (name, value) in headers {
            if !answer.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                answer.headers.push((name.into(), value));
            }
        }
        answer
    }

    /// What the connection does after the head of a 101.
    fn talk(&self, frames: Vec<Frame>) -> Talk {
        let model = self.route.as_ref().map_or_else(|_| String::new(), |(to, _)| to.id.clone());
        let limit = usize::try_from(self.shared.max_body).unwrap_or(usize::MAX);
        Talk { arrival: self.index, model, frames, limit, keep: self.shared.keep_body }
    }

    fn uploaded(&self, bytes: usize) {
        self.shared.log.update(self.index, |arrival| arrival.body_len = bytes as u64);
    }

    /// Makes hyper's response of an answer and opens the valves.
    fn render(
        &self,
        answer: Answer,
        faults: &[Fault],
        request_id: &str,
    ) -> Result<Response<Outgoing>, http::Error> {
        let mut response = Response::builder().status(answer.status);
        let raw = matches!(answer.body, Body::Raw(_));
        if raw {
            // Hyper's own head is dropped; as 1.0 it ends the body by closing, without framing.
            response = response.version(Version::HTTP_10);
        } else {
            response = response.header("x-baseten-request-id", request_id);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            for fault in faults {
                if let Action::Header { name, value } = &fault.action {
                    response = response.header(name, value);
                }
            }
        }
        let link = Arc::clone(&self.link);
        let body = match answer.body {
            Body::Whole(body) => Outgoing::whole(link, body),
            Body::Stream(stream) | Body::Raw(stream) => Outgoing::stream(link, stream),
            Body::WebSocket(frames) => {
                link.switch(self.talk(frames));
                Outgoing::whole(link, Bytes::new())
            }
        };
        let response = response.body(body)?;
        self.link.open(raw, faults);
        Ok(response)
    }
}

/// What was sent, with the head's own bytes for the headers.
fn arrival(link: &Link, head: &http::request::Parts) -> Arrival {
    let path = head.uri.path_and_query().map_or_else(|| head.uri.path(), |path| path.as_str());
    let sent = link.take_head();
    let first = format!("{} {}", head.method, head.uri);
    let headers = if sent.starts_with(first.as_bytes()) {
        headers_as_sent(&sent)
    } else {
        // A pipelined request: its bytes came with those of the one before.
        let headers = head.headers.iter();
        headers.map(|(name, value)| (name.as_str().into(), copied(value.as_bytes()))).collect()
    };
    let host = head.headers.get("host").and_then(|host| host.to_str().ok());
    Arrival {
        index: 0,
        connection: link.connection,
        at: std::time::Duration::ZERO,
        method: head.method.as_str().into(),
        path: path.into(),
        host: host.map(Into::into),
        headers,
        target: None,
        operation: None,
        body: Bytes::new(),
        body_len: 0,
        messages: Vec::new(),
        body_complete: false,
        request_id: String::new(),
        status: None,
        sent: 0,
        events: 0,
        outcome: None,
    }
}

fn headers_as_sent(head: &[u8]) -> Vec<(String, Bytes)> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let pairs = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        Some((name, copied(line[colon + 1..].trim_ascii())))
    });
    pairs.collect()
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Both schemes, as written in the documentation; 401 without a key, 403 with a wrong one.
fn check_key(keys: &[String], arrival: &Arrival) -> Option<Answer> {
    let Some(value) = arrival.header("authorization") else {
        return Some(Answer::platform_error(401));
    };
    let key = value.strip_prefix("Api-Key ").or_else(|| value.strip_prefix("Bearer "));
    match key {
        None => Some(Answer::platform_error(401)),
        Some(key) if keys.iter().any(|known| known == key) => None,
        Some(_) => Some(Answer::platform_error(403)),
    }
}

/// The answer, as far as the head decides it; `None`: the emulator's own behaviour.
fn plan(
    shared: &Shared,
    refusal: Option<Answer>,
    route: &Result<(Target, Operation), NoRoute>,
    faults: &[Fault],
) -> Option<Plan> {
    let replaced = faults.iter().find_map(|fault| match &fault.action {
        Action::Answer(answer) => Some(Plan::Value(answer.clone())),
        _ => None,
    });
    let refused = replaced.or_else(|| refusal.map(|answer| Plan::Value(Box::new(answer))));
    refused.or_else(|| match route {
        Ok((target, operation)) => {
            let asleep = shared.sleepers.answer(target, operation);
            asleep
                .map(|answer| Plan::Value(Box::new(answer)))
                .or_else(|| shared.desk.take(target.kind, &target.id, &operation.route()))
        }
        Err(NoRoute::NotFound) => Some(Plan::Value(Box::new(Answer::platform_error(404)))),
        Err(NoRoute::MethodNotAllowed) => Some(Plan::Value(Box::new(Answer::platform_error(405)))),
    })
}

/// A fault during the upload.
async fn fail(link: &Link, fault: &Fault) {
    if !fault.wait.is_zero() {
        tokio::time::sleep(fault.wait).await;
    }
    let kill = match fault.action {
        Action::Reset => Kill::Reset,
        Action::Cut => Kill::Cut,
        Action::Close => Kill::Close,
        Action::Stall => return pending().await,
        Action::Refuse => return link.refuse(),
        _ => return,
    };
    link.kill(kill);
    pending().await
}

/// 32 hex digits, the same in every run: a counter, scattered.
fn request_id(index: usize) -> String {
    let scatter = |seed: u64| {
        let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    let index = index as u64;
    format!("{:016x}{:016x}", scatter(2 * index), scatter(2 * index + 1))
}
